//! State that the host keeps for a plugin, with a player or an object.

use std::ops::{Deref, DerefMut};

use horizon_model::EntityId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Ctx, PluginError, payload};

/// A value that belongs to a player or an object, and goes wherever that goes.
///
/// It is stored by field names: add fields with `#[serde(default)]` and keep the version; raise the
/// version where the meaning changes, and say in [`Component::migrate`] how to read the older one.
pub trait Component: Serialize + DeserializeOwned {
    /// `plugin.name`, unique in the world.
    const NAME: &'static str;

    /// Rises with the meaning of the fields.
    const VERSION: u32;

    /// Reads a value that version `from` stored. The default reads it by field names.
    ///
    /// # Errors
    ///
    /// [`PluginError`] where that version cannot be read; the stored bytes stay as they are.
    fn migrate(from: u32, messagepack: &[u8]) -> Result<Self, PluginError> {
        payload::decode(messagepack, true).map_err(|error| {
            PluginError::Other(format!("component {} of version {from}: {error}", Self::NAME))
        })
    }
}

/// The stored form: version as four little-endian bytes, then MessagePack.
pub(crate) fn to_bytes<T: Component>(value: &T) -> Result<Vec<u8>, PluginError> {
    let body = payload::encode(value)
        .map_err(|error| PluginError::Encode { what: T::NAME.to_owned(), detail: error.to_string() })?;
    let mut bytes = Vec::with_capacity(body.len() + 4);
    bytes.extend_from_slice(&T::VERSION.to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

pub(crate) fn from_bytes<T: Component>(bytes: &[u8]) -> Result<T, PluginError> {
    let Some((version, body)) = bytes.split_first_chunk::<4>() else {
        return Err(PluginError::Other(format!("component {} is cut short", T::NAME)));
    };
    match u32::from_le_bytes(*version) {
        version if version == T::VERSION => payload::decode(body, true)
            .map_err(|error| PluginError::Other(format!("component {}: {error}", T::NAME))),
        version => T::migrate(version, body),
    }
}

/// A component being changed. What changed is stored when this is dropped; a failure to store it
/// becomes the error of the handler.
pub struct ComponentMut<'a, T: Component> {
    cx: &'a mut Ctx,
    entity: EntityId,
    value: T,
    stored: Option<Vec<u8>>,
    touched: bool,
}

impl<'a, T: Component> ComponentMut<'a, T> {
    pub(crate) fn new(cx: &'a mut Ctx, entity: EntityId, value: T, stored: Option<Vec<u8>>) -> Self {
        Self { cx, entity, value, stored, touched: false }
    }
}

impl<T: Component> Deref for ComponentMut<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Component> DerefMut for ComponentMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.touched = true;
        &mut self.value
    }
}

impl<T: Component> Drop for ComponentMut<'_, T> {
    fn drop(&mut self) {
        if !self.touched || std::thread::panicking() {
            return;
        }
        let written = to_bytes(&self.value).and_then(|bytes| {
            if self.stored.as_ref() == Some(&bytes) {
                return Ok(());
            }
            self.cx.write_component(self.entity, T::NAME, &bytes)
        });
        if let Err(error) = written {
            self.cx.fail_later(error);
        }
    }
}
