//! How values are spelled: MessagePack between processes, JSON for people.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A payload that is not what it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PayloadError(String);

/// Reads a payload: MessagePack if `binary`, else JSON text. No bytes at all mean nil.
///
/// # Errors
///
/// [`PayloadError`] where the bytes are cut short or another type.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], binary: bool) -> Result<T, PayloadError> {
    match (binary, bytes) {
        (true, []) => decode(&[0xc0], true),
        (true, _) => rmp_serde::from_slice(bytes).map_err(|error| PayloadError(error.to_string())),
        (false, []) => decode(b"null", false),
        (false, _) => serde_json::from_slice(bytes).map_err(|error| PayloadError(error.to_string())),
    }
}

/// Writes MessagePack with field names, so that fields may be added later.
///
/// # Errors
///
/// [`PayloadError`] where the value has no such form.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, PayloadError> {
    rmp_serde::to_vec_named(value).map_err(|error| PayloadError(error.to_string()))
}

/// The same value as JSON text, for sessions that speak it.
///
/// # Errors
///
/// [`PayloadError`] where the bytes are no MessagePack, or hold what JSON cannot say: raw bytes, or
/// a map whose keys are not text.
pub fn transcode_to_json(messagepack: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let value: serde_json::Value = decode(messagepack, true)?;
    serde_json::to_vec(&value).map_err(|error| PayloadError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        dish: String,
        portions: u32,
    }

    #[test]
    fn both_spellings_say_the_same() {
        let order = Order { dish: "stew".to_owned(), portions: 2 };
        let packed = encode(&order).unwrap();
        let json = transcode_to_json(&packed).unwrap();
        assert_eq!(json, br#"{"dish":"stew","portions":2}"#);
        assert_eq!(decode::<Order>(&packed, true), Ok(Order { dish: "stew".to_owned(), portions: 2 }));
        assert_eq!(decode::<Order>(&json, false), Ok(order));
        assert_eq!(decode::<Option<u32>>(&[], true), Ok(None));
        assert_eq!(decode::<Option<u32>>(&[], false), Ok(None));
        assert!(decode::<Order>(&packed[..4], true).is_err());
    }
}
