//! Who hides behind each alias.

use std::collections::BTreeMap;

use horizon_model::EntityId;

use super::knot::Knot;

/// Aliases per page: few enough that one far alias costs little, enough that most of a page is used.
const PAGE: usize = 16;

/// One held object: who it is, and the last knot told, in the numbers of its channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) entity: EntityId,
    pub(super) channel: u8,
    pub(super) knot: Knot,
}

/// The held objects of one receiver.
///
/// Invariant: `aliases` names exactly the objects in `pages`, so no entity has two aliases.
#[derive(Debug, Default, Clone)]
pub(super) struct HeldObjects {
    pages: Vec<Option<Box<[Option<Held>; PAGE]>>>,
    aliases: BTreeMap<EntityId, u16>,
}

impl HeldObjects {
    pub(super) fn clear(&mut self) {
        self.pages.clear();
        self.aliases.clear();
    }

    #[inline]
    pub(super) fn get_mut(&mut self, alias: u16) -> Option<&mut Held> {
        let alias = usize::from(alias);
        self.pages.get_mut(alias / PAGE)?.as_mut()?[alias % PAGE].as_mut()
    }

    pub(super) fn remove(&mut self, alias: u16) -> Option<EntityId> {
        let index = usize::from(alias);
        let held = self.pages.get_mut(index / PAGE)?.as_mut()?[index % PAGE].take()?;
        self.aliases.remove(&held.entity);
        Some(held.entity)
    }

    /// Puts `held` behind `alias` and nowhere else. Returns the other object that was there.
    pub(super) fn insert(&mut self, alias: u16, held: Held) -> Option<EntityId> {
        let displaced = self.remove(alias).filter(|before| *before != held.entity);
        if let Some(before) = self.aliases.insert(held.entity, alias)
            && let Some(page) = self.pages.get_mut(usize::from(before) / PAGE).and_then(Option::as_mut)
        {
            page[usize::from(before) % PAGE] = None;
        }
        let index = usize::from(alias);
        if self.pages.len() <= index / PAGE {
            self.pages.resize_with(index / PAGE + 1, || None);
        }
        self.pages[index / PAGE].get_or_insert_with(|| Box::new([None; PAGE]))[index % PAGE] = Some(held);
        displaced
    }

    /// Bytes allocated, about.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        let pages = self.pages.iter().flatten().count() * size_of::<[Option<Held>; PAGE]>();
        pages + self.pages.capacity() * size_of::<usize>() + self.aliases.len() * 32
    }
}
