//! horizon-plugin-ledger.
