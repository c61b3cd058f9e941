//! A table whose keys stay false once their tenant is gone.

/// Key of a tenant: number of the slot and how often the slot was given away before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Number of the slot; reused after the tenant left.
    pub(crate) index: u32,
    generation: u32,
}

#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Slots<T> {
        Slots { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, tenant: T) -> Key {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.1 = Some(tenant);
            return Key { index, generation: slot.0 };
        }
        let index = u32::try_from(self.slots.len()).expect("limits keep tables below 2^32");
        self.slots.push((0, Some(tenant)));
        Key { index, generation: 0 }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slots.get(key.index as usize).filter(|slot| slot.0 == key.generation)?.1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slots.get_mut(key.index as usize).filter(|slot| slot.0 == key.generation)?.1.as_mut()
    }

    /// The tenant and its key by slot number alone.
    pub(crate) fn at(&self, index: u32) -> Option<Key> {
        let slot = self.slots.get(index as usize)?;
        slot.1.as_ref().map(|_| Key { index, generation: slot.0 })
    }

    /// Ends the tenancy.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize).filter(|slot| slot.0 == key.generation)?;
        let tenant = slot.1.take()?;
        slot.0 = slot.0.wrapping_add(1);
        self.free.push(key.index);
        Some(tenant)
    }

    /// Takes the tenant out for a while; [`Slots::put_back`] must follow. The key stays true.
    pub(crate) fn take(&mut self, key: Key) -> Option<T> {
        self.slots.get_mut(key.index as usize).filter(|slot| slot.0 == key.generation)?.1.take()
    }

    pub(crate) fn put_back(&mut self, key: Key, tenant: T) {
        let slot = &mut self.slots[key.index as usize];
        debug_assert!(slot.0 == key.generation && slot.1.is_none(), "only what was taken is put back");
        slot.1 = Some(tenant);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..)
            .zip(&self.slots)
            .filter_map(|(index, slot)| slot.1.as_ref().map(|tenant| (Key { index, generation: slot.0 }, tenant)))
    }

    /// The tenants of at most `count` slots from number `from` on, and the number to go on from; `None` at the end. For walks
    /// that must not take long at a time: tenants that move in behind the walker's back are not seen.
    pub(crate) fn page(&self, from: usize, count: usize) -> (impl Iterator<Item = &T>, Option<usize>) {
        let end = from.saturating_add(count).min(self.slots.len());
        let page = self.slots.get(from..end).unwrap_or_default();
        (page.iter().filter_map(|slot| slot.1.as_ref()), (end < self.slots.len()).then_some(end))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
