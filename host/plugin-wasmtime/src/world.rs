//! What a world adds to what every policy has: an interface, its functions with their types, and what it may be shown.
//!
//! Lifecycle, limits, faults, pauses, sleep and counters know nothing of the world; they are generic over [`Functions`].
//! A new extension point is a static [`World`], a [`Functions`] for it, and the struct that fills questions and reads
//! answers; see `routing.rs`, and `dispatch.rs` for the hottest one.

use plugin::{Point, PolicyError};
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc};

use crate::bindings::{LIFECYCLE, Requirements};
use crate::instance::{Fault, HostState};
use crate::program::{Exports, Program};
use crate::runtime::Runtime;
use crate::{auth, dispatch, groups, network, routing, topic};

/// An extension point: what a component of it exports and may ask to be shown.
pub(crate) struct World {
    pub(crate) point: Point,
    /// Its name in the WIT package.
    pub(crate) name: &'static str,
    /// The interface that makes a component one of this world.
    pub(crate) interface: &'static str,
    /// The functions of the interface; [`Functions::bind`] gets them in this order.
    pub(crate) functions: &'static [&'static str],
    /// The columns that `requirements.columns` may name.
    pub(crate) column_ids: &'static [u32],
    /// Whether `requirements.properties` may name properties.
    pub(crate) properties: bool,
    /// [`Program::rehearse`] for the functions of this world.
    pub(crate) rehearse: fn(&Program, &Runtime, &Exports) -> Result<Requirements, PolicyError>,
}

/// All the worlds that components may have.
pub(crate) const WORLDS: [&World; 6] =
    [&dispatch::WORLD, &topic::WORLD, &groups::WORLD, &network::WORLD, &routing::WORLD, &auth::WORLD];

impl World {
    /// Whether nobody may decide in the place of a component: its instance is waited for, and what it does not answer is
    /// refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.point == Point::Auth
    }

    /// Who decides while a component fails, as the log says it.
    pub(crate) fn meanwhile(&self) -> &'static str {
        if self.is_closed() { "clients are refused meanwhile" } else { "its native twin decides meanwhile" }
    }

    /// What a component of this world exports.
    pub(crate) fn exports(&self) -> [&'static str; 2] {
        [LIFECYCLE, self.interface]
    }
}

/// The typed functions of one instance, and what is remembered of the instance beside them.
pub(crate) trait Functions: Sized + Send + 'static {
    /// The world that they belong to.
    const WORLD: &'static World;

    /// Finds the functions in a new instance; `exports` are those named in [`World::functions`].
    fn bind(finder: &mut Finder<'_>, exports: &[ComponentExportIndex]) -> Result<Self, Fault>;
}

/// Finds functions in an instance and checks their types.
pub(crate) struct Finder<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) store: &'a mut Store<HostState>,
}

impl Finder<'_> {
    /// The function at `index`, if it has these types.
    pub(crate) fn typed<P, R>(&mut self, index: &ComponentExportIndex) -> Result<TypedFunc<P, R>, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        self.instance.get_typed_func(&mut *self.store, index).map_err(Fault::world)
    }
}
