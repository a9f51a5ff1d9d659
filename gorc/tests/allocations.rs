//! A step in which nobody comes or goes needs no memory that it did not have before.
#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gorc::{Gorc, NewObject, ObserverId, ObserverSpec, Spelling};
use horizon_model::{
    Channel, EntityId, FieldSpec, ObjectSchema, ObjectTypeId, Pose, Position, Tick, TickRate,
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator; counts what each thread asks of it.
struct Counting;

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed to the system's allocator unchanged; counting touches one number of the
// thread, which is made without allocating.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller promises what `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` comes from `alloc`, that is, from `System`.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `at` comes from `alloc`, that is, from `System`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const OBJECTS: u64 = 200;
const OBSERVERS: u64 = 50;
const WARM_UP: u64 = 300;
const STEPS: u64 = 200;

fn entity(n: u64) -> EntityId {
    EntityId::from_bits(1 << 48 | n).unwrap()
}

/// Each on a circle of its own within 60 m of the origin, faster and slower.
fn pose(n: u64, tick: u64) -> Pose {
    let (middle, radius) = ([(n % 20) as f64 * 4.0 - 40.0, (n / 20) as f64 * 8.0 - 40.0], 3.0);
    let speed = 1.0 + (n % 7) as f64;
    let turn = tick as f64 / 60.0 * speed / radius;
    let (sin, cos) = turn.sin_cos();
    let velocity = [(-sin * speed) as f32, (cos * speed) as f32, 0.0];
    let position = Position::from_metres([middle[0] + radius * cos, middle[1] + radius * sin, 0.0]).unwrap();
    Pose { position, velocity, yaw: velocity[1].atan2(velocity[0]) }
}

/// Allocations of the steps after the warm-up. Observers stand on a line of 735 m, so that objects are held on
/// all channels and change between them, but never come or go.
fn allocations(prepare: impl Fn(u64, &mut ObserverSpec), fields: bool) -> u64 {
    let rate = TickRate::from_hz(30).unwrap();
    let mut schema = ObjectSchema::named("player");
    schema.fields = Channel::ALL.map(|channel| FieldSpec { name: format!("{channel:?}"), channel }).to_vec();
    let mut gorc = Gorc::new(rate, schema);
    for n in 1..=OBJECTS {
        gorc.spawn(NewObject {
            entity: entity(n),
            type_id: ObjectTypeId::PLAYER,
            player: None,
            ghost: false,
            tick: Tick(0),
            pose: pose(n, 0),
            fields: vec![Some(vec![0; 8]); 4],
        });
    }
    for n in 0..OBSERVERS {
        let mut spec = ObserverSpec::client(Position::from_metres([n as f64 * 15.0, 0.0, 0.0]).unwrap());
        prepare(n, &mut spec);
        gorc.add_observer(ObserverId(n), spec);
    }
    let (mut before, mut bytes) = (0, 0);
    for step in 1..=WARM_UP + STEPS {
        let tick = step * rate.step();
        if step == WARM_UP + 1 {
            gorc.take_stats();
            (before, bytes) = (ALLOCATIONS.get(), 0);
        }
        for n in 1..=OBJECTS {
            gorc.sample(entity(n), Tick(tick), &pose(n, tick), false);
            if fields && (n + step) % 10 == 0 {
                for field in 0..4 {
                    gorc.set_field(entity(n), field, &step.to_le_bytes());
                }
            }
        }
        gorc.step(Tick(tick), &mut |_| true, &mut |_, body| bytes += body.len());
    }
    let made = ALLOCATIONS.get() - before;
    let stats = gorc.take_stats();
    assert!(stats.updates > STEPS * OBSERVERS && bytes > 0, "something was told: {stats:?}");
    assert!(stats.channel_bytes[..3].iter().all(|bytes| *bytes > 0), "on all channels: {stats:?}");
    made
}

#[test]
fn steps_of_clients_allocate_nothing() {
    assert_eq!(allocations(|_, _| (), false), 0);
}

#[test]
fn nor_do_fields_that_keep_their_length() {
    assert_eq!(allocations(|_, _| (), true), 0);
}

#[test]
fn nor_do_budgets_and_density() {
    let prepare = |_, spec: &mut ObserverSpec| {
        spec.budget_bytes = Some(150);
        spec.density = true;
    };
    assert_eq!(allocations(prepare, false), 0);
}

#[test]
fn nor_do_regions() {
    let prepare = |n, spec: &mut ObserverSpec| {
        if n % 10 == 0 {
            *spec = ObserverSpec::region(spec.anchor.clone(), 5.0);
        }
    };
    assert_eq!(allocations(prepare, false), 0);
}

/// The counter counts: spelling JSON allocates.
#[test]
fn json_does_allocate() {
    let prepare = |_, spec: &mut ObserverSpec| spec.spelling = Spelling::Json;
    assert!(allocations(prepare, true) > 0);
}
