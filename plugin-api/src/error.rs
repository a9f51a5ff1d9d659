//! What can go wrong in a plugin.

/// Why a plugin's code could not do what it was asked. The host logs it; nobody is disconnected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// Nobody here has heard of it: it may have left or never existed.
    #[error("nothing of that id is known here")]
    Unknown,
    /// A neighbour owns it, or it is on its way there: act where it is owned.
    #[error("another region owns it")]
    NotOwned,
    /// The host will not do that; the text says why.
    #[error("{0}")]
    Refused(String),
    /// A client sent something else than the handler expects. Counted against the client.
    #[error("payload of {name}: {detail}")]
    Payload {
        /// Namespace and event.
        name: String,
        /// What the decoder found.
        detail: String,
    },
    /// A value could not be stored or sent as it is.
    #[error("{what} cannot be encoded: {detail}")]
    Encode {
        /// Which value.
        what: String,
        /// What the encoder found.
        detail: String,
    },
    /// The table `[plugin.NAME]` of the configuration is not what the plugin expects.
    #[error("configuration [plugin.{plugin}]: {detail}")]
    Config {
        /// Name of the plugin.
        plugin: String,
        /// What is wrong and who must change it.
        detail: String,
    },
    /// The plugin's own reason.
    #[error("{0}")]
    Other(String),
}

impl PluginError {
    /// The plugin's own reason, in a sentence.
    pub fn new(reason: impl Into<String>) -> Self {
        Self::Other(reason.into())
    }
}

impl From<String> for PluginError {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

impl From<&str> for PluginError {
    fn from(reason: &str) -> Self {
        Self::Other(reason.to_owned())
    }
}
