//! horizon-plugin-chat.
