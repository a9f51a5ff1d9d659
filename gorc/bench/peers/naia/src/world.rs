//! The store that naia replicates from and into: entities are indices, components are in a short list.
//!
//! The server owns every entity and delegates none, so what serves ownership by clients is never reached.

use std::any::Any;

use naia_shared::{
    ComponentFieldUpdate, ComponentKind, ComponentKinds, ComponentUpdate, EntityAndGlobalEntityConverter,
    GlobalWorldManagerType, LocalEntityAndGlobalEntityConverter, ReplicaDynMutWrapper, ReplicaDynRefWrapper,
    ReplicaMutTrait, ReplicaMutWrapper, ReplicaRefTrait, ReplicaRefWrapper, Replicate, SerdeErr,
    WorldMutType, WorldRefType,
};

/// Index of an entity in its world.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key(usize);

/// Entities and their components.
#[derive(Default)]
pub struct World {
    entities: Vec<Option<Vec<Box<dyn Replicate>>>>,
}

impl World {
    /// Every component of this type, for reading.
    pub fn all<R: Replicate>(&self) -> impl Iterator<Item = &R> {
        self.entities.iter().flatten().flatten().filter_map(|component| component.to_any().downcast_ref())
    }

    /// A component, for writing without the wrapper that naia's own access allocates.
    pub fn get_mut<R: Replicate>(&mut self, entity: Key) -> Option<&mut R> {
        self.components_mut(entity).iter_mut().find_map(|component| component.to_any_mut().downcast_mut())
    }

    fn components(&self, entity: Key) -> &[Box<dyn Replicate>] {
        self.entities.get(entity.0).and_then(Option::as_deref).unwrap_or_default()
    }

    fn components_mut(&mut self, entity: Key) -> &mut [Box<dyn Replicate>] {
        self.entities.get_mut(entity.0).and_then(Option::as_deref_mut).unwrap_or_default()
    }

    fn of_kind(&self, entity: Key, kind: &ComponentKind) -> Option<&dyn Replicate> {
        self.components(entity).iter().find(|component| component.kind() == *kind).map(Box::as_ref)
    }

    fn of_kind_mut(&mut self, entity: Key, kind: &ComponentKind) -> Option<&mut Box<dyn Replicate>> {
        self.components_mut(entity).iter_mut().find(|component| component.kind() == *kind)
    }

    fn get<R: Replicate>(&self, entity: Key) -> Option<&R> {
        self.components(entity).iter().find_map(|component| component.to_any().downcast_ref())
    }

    fn keys(&self) -> Vec<Key> {
        let live = self.entities.iter().enumerate().filter(|(_, components)| components.is_some());
        live.map(|(index, _)| Key(index)).collect()
    }
}

struct Borrowed<'a, R>(&'a R);

impl<R: Replicate> ReplicaRefTrait<R> for Borrowed<'_, R> {
    fn to_ref(&self) -> &R {
        self.0
    }
}

struct BorrowedMut<'a, R>(&'a mut R);

impl<R: Replicate> ReplicaRefTrait<R> for BorrowedMut<'_, R> {
    fn to_ref(&self) -> &R {
        self.0
    }
}

impl<R: Replicate> ReplicaMutTrait<R> for BorrowedMut<'_, R> {
    fn to_mut(&mut self) -> &mut R {
        self.0
    }
}

/// naia takes a world by value, so both kinds of borrow are one.
macro_rules! readable {
    ($($borrow:ty),*) => {$(
        impl WorldRefType<Key> for $borrow {
            fn has_entity(&self, entity: &Key) -> bool {
                matches!(self.entities.get(entity.0), Some(Some(_)))
            }

            fn entities(&self) -> Vec<Key> {
                self.keys()
            }

            fn has_component<R: Replicate>(&self, entity: &Key) -> bool {
                self.get::<R>(*entity).is_some()
            }

            fn has_component_of_kind(&self, entity: &Key, kind: &ComponentKind) -> bool {
                self.of_kind(*entity, kind).is_some()
            }

            fn component<'a, R: Replicate>(&'a self, entity: &Key) -> Option<ReplicaRefWrapper<'a, R>> {
                self.get(*entity).map(|component| ReplicaRefWrapper::new(Borrowed(component)))
            }

            fn component_of_kind<'a>(
                &'a self,
                entity: &Key,
                kind: &ComponentKind,
            ) -> Option<ReplicaDynRefWrapper<'a>> {
                self.of_kind(*entity, kind).map(|component| ReplicaDynRefWrapper::new(component.dyn_ref()))
            }
        }
    )*};
}

readable!(&World, &mut World);

impl WorldMutType<Key> for &mut World {
    fn spawn_entity(&mut self) -> Key {
        self.entities.push(Some(vec![]));
        Key(self.entities.len() - 1)
    }

    fn despawn_entity(&mut self, entity: &Key) {
        self.entities[entity.0] = None;
    }

    fn component_kinds(&mut self, entity: &Key) -> Vec<ComponentKind> {
        self.components(*entity).iter().map(|component| component.kind()).collect()
    }

    fn component_mut<'a, R: Replicate>(&'a mut self, entity: &Key) -> Option<ReplicaMutWrapper<'a, R>> {
        self.get_mut(*entity).map(|component| ReplicaMutWrapper::new(BorrowedMut(component)))
    }

    fn component_mut_of_kind<'a>(
        &'a mut self,
        entity: &Key,
        kind: &ComponentKind,
    ) -> Option<ReplicaDynMutWrapper<'a>> {
        self.of_kind_mut(*entity, kind).map(|component| ReplicaDynMutWrapper::new(component.dyn_mut()))
    }

    fn component_apply_update(
        &mut self,
        converter: &dyn LocalEntityAndGlobalEntityConverter,
        entity: &Key,
        kind: &ComponentKind,
        update: ComponentUpdate,
    ) -> Result<(), SerdeErr> {
        match self.of_kind_mut(*entity, kind) {
            Some(component) => component.read_apply_update(converter, update),
            None => Ok(()),
        }
    }

    fn component_apply_field_update(
        &mut self,
        converter: &dyn LocalEntityAndGlobalEntityConverter,
        entity: &Key,
        kind: &ComponentKind,
        update: ComponentFieldUpdate,
    ) -> Result<(), SerdeErr> {
        match self.of_kind_mut(*entity, kind) {
            Some(component) => component.read_apply_field_update(converter, update),
            None => Ok(()),
        }
    }

    fn insert_component<R: Replicate>(&mut self, entity: &Key, component: R) {
        self.insert_boxed_component(entity, Box::new(component));
    }

    fn insert_boxed_component(&mut self, entity: &Key, component: Box<dyn Replicate>) {
        self.entities[entity.0].as_mut().expect("naia inserts into entities it spawned").push(component);
    }

    fn remove_component<R: Replicate>(&mut self, entity: &Key) -> Option<R> {
        let component: Box<dyn Any> =
            self.remove_component_of_kind(entity, &ComponentKind::of::<R>())?.to_boxed_any();
        component.downcast().ok().map(|component| *component)
    }

    fn remove_component_of_kind(&mut self, entity: &Key, kind: &ComponentKind) -> Option<Box<dyn Replicate>> {
        let components = self.entities.get_mut(entity.0)?.as_mut()?;
        let at = components.iter().position(|component| component.kind() == *kind)?;
        Some(components.swap_remove(at))
    }

    fn local_duplicate_entity(&mut self, _: &Key) -> Key {
        owned_by_server()
    }

    fn local_duplicate_components(&mut self, _: &Key, _: &Key) {
        owned_by_server()
    }

    fn mirror_entities(&mut self, _: &Key, _: &Key) {
        owned_by_server()
    }

    fn mirror_components(&mut self, _: &Key, _: &Key, _: &ComponentKind) {
        owned_by_server()
    }

    fn entity_publish(
        &mut self,
        _: &ComponentKinds,
        _: &dyn EntityAndGlobalEntityConverter<Key>,
        _: &dyn GlobalWorldManagerType,
        _: &Key,
    ) {
        owned_by_server()
    }

    fn component_publish(
        &mut self,
        _: &ComponentKinds,
        _: &dyn EntityAndGlobalEntityConverter<Key>,
        _: &dyn GlobalWorldManagerType,
        _: &Key,
        _: &ComponentKind,
    ) {
        owned_by_server()
    }

    fn entity_unpublish(&mut self, _: &Key) {
        owned_by_server()
    }

    fn component_unpublish(&mut self, _: &Key, _: &ComponentKind) {
        owned_by_server()
    }

    fn entity_enable_delegation(
        &mut self,
        _: &ComponentKinds,
        _: &dyn EntityAndGlobalEntityConverter<Key>,
        _: &dyn GlobalWorldManagerType,
        _: &Key,
    ) {
        owned_by_server()
    }

    fn component_enable_delegation(
        &mut self,
        _: &ComponentKinds,
        _: &dyn EntityAndGlobalEntityConverter<Key>,
        _: &dyn GlobalWorldManagerType,
        _: &Key,
        _: &ComponentKind,
    ) {
        owned_by_server()
    }

    fn entity_disable_delegation(&mut self, _: &Key) {
        owned_by_server()
    }

    fn component_disable_delegation(&mut self, _: &Key, _: &ComponentKind) {
        owned_by_server()
    }
}

fn owned_by_server() -> ! {
    unreachable!("the server owns every entity and delegates none")
}
