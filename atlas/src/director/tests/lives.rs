//! The table of a region server's life, and whatever anybody may say to a director that keeps to it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::director::life::{Event, Life, Outcome};

/// Every change there is. What is not here changes nothing.
#[rustfmt::skip]
const CHANGES: &[(Life, Event, Life)] = &[
    (Life::Starting, Event::Registered, Life::Ready),
    (Life::Starting, Event::Served,     Life::Serving),
    (Life::Starting, Event::Dismissed,  Life::Draining),
    (Life::Starting, Event::Missed,     Life::Failed),
    (Life::Starting, Event::Crashed,    Life::Failed),
    (Life::Ready,    Event::Served,     Life::Serving),
    (Life::Ready,    Event::Told,       Life::Placed),
    (Life::Ready,    Event::Dismissed,  Life::Draining),
    (Life::Ready,    Event::Fenced,     Life::Failed),
    (Life::Ready,    Event::Missed,     Life::Failed),
    (Life::Ready,    Event::Crashed,    Life::Failed),
    (Life::Placed,   Event::Served,     Life::Serving),
    (Life::Placed,   Event::Refused,    Life::Ready),
    (Life::Placed,   Event::Freed,      Life::Ready),
    (Life::Placed,   Event::Dismissed,  Life::Draining),
    (Life::Placed,   Event::Fenced,     Life::Failed),
    (Life::Placed,   Event::Missed,     Life::Failed),
    (Life::Placed,   Event::Crashed,    Life::Failed),
    (Life::Serving,  Event::Registered, Life::Ready),
    (Life::Serving,  Event::Freed,      Life::Ready),
    (Life::Serving,  Event::Released,   Life::Draining),
    (Life::Serving,  Event::Dismissed,  Life::Draining),
    (Life::Serving,  Event::Fenced,     Life::Failed),
    (Life::Serving,  Event::Missed,     Life::Failed),
    (Life::Serving,  Event::Crashed,    Life::Failed),
    (Life::Draining, Event::Served,     Life::Serving),
    (Life::Draining, Event::Freed,      Life::Ready),
    (Life::Draining, Event::Fenced,     Life::Failed),
    (Life::Draining, Event::Missed,     Life::Failed),
    (Life::Draining, Event::Ended,      Life::Retired),
    (Life::Draining, Event::Crashed,    Life::Failed),
];

/// Events that come from outside: whoever is registered may hear any of them at any time.
const HEARD: [Event; 6] =
    [Event::Registered, Event::Served, Event::Refused, Event::Freed, Event::Missed, Event::Crashed];

#[test]
fn every_event_has_its_outcome_in_every_state() {
    for life in Life::ALL {
        for event in Event::ALL {
            let listed = CHANGES.iter().find(|(from, by, _)| (*from, *by) == (life, event));
            match (life.after(event), listed) {
                (Outcome::To(next), Some((_, _, expected))) => {
                    assert_eq!(next, *expected, "{life:?} {event:?}")
                }
                (Outcome::Stays | Outcome::Never, None) => {}
                (outcome, listed) => panic!("{life:?} {event:?}: {outcome:?}, not {listed:?}"),
            }
            let registered = !matches!(life, Life::Starting | Life::Retired);
            if registered && HEARD.contains(&event) {
                assert_ne!(life.after(event), Outcome::Never, "{life:?} may hear {event:?}");
            }
        }
    }
    assert_eq!(Life::ALL.map(|life| life as usize), [0, 1, 2, 3, 4, 5, 6], "columns of the table");
    assert!(Event::ALL.iter().enumerate().all(|(row, event)| *event as usize == row), "rows of the table");
}

/// States that may follow `life`, itself among them, after any number of events.
fn ahead(life: Life) -> BTreeSet<Life> {
    let mut seen = BTreeSet::from([life]);
    loop {
        let next = seen.iter().flat_map(|life| Event::ALL.map(|event| life.after(event)));
        let next: Vec<Life> = next
            .filter_map(|outcome| if let Outcome::To(life) = outcome { Some(life) } else { None })
            .collect();
        let before = seen.len();
        seen.extend(next);
        if seen.len() == before {
            return seen;
        }
    }
}

#[test]
fn every_state_is_reached_and_every_life_ends() {
    assert_eq!(ahead(Life::Starting), BTreeSet::from(Life::ALL));
    for life in Life::ALL {
        let ends = ahead(life).contains(&Life::Failed) || life == Life::Retired;
        assert!(ends, "{life:?} has a way out");
    }
    for last in [Life::Retired, Life::Failed] {
        assert_eq!(ahead(last), BTreeSet::from([last]), "nobody comes back");
    }
}

#[test]
#[should_panic(expected = "Told happened to a worker that is Serving")]
fn what_the_table_forbids_is_noticed() {
    let mut worker = Worker::new(ms(0), Life::Starting);
    worker.serve(ms(1), RegionId(2));
    worker.tell(ms(2), RegionId(3));
}

fn any_region() -> impl Strategy<Value = RegionId> {
    (0_u16..5).prop_map(RegionId)
}

fn any_worker() -> impl Strategy<Value = u64> {
    1_u64..6
}

fn any_placement() -> impl Strategy<Value = Placement> {
    (0_u16..5, any_worker(), 0_u64..6).prop_map(|(region, worker, lease)| placement(region, worker, lease))
}

/// Anything at all, in any order: late, repeated, contradictory.
fn any_input() -> impl Strategy<Value = Input> {
    let register = (any_worker(), prop::option::of(any_placement()), any::<bool>(), any::<bool>());
    let register = register.prop_map(|(worker, serving, within_reach, in_step)| Input::Registered {
        worker: WorkerId(worker),
        pid: within_reach.then_some(worker as u32),
        endpoint: String::new(),
        bounds: None,
        serving: serving.map(|of| Placement { worker: WorkerId(worker), ..of }),
        in_step,
    });
    prop_oneof![
        6 => register,
        2 => any_region().prop_map(|region| Input::Ensure { region, why: Why::Player }),
        1 => (1_u32..6).prop_map(|pid| Input::Spawned { pid }),
        1 => Just(Input::SpawnFailed),
        2 => any_worker().prop_map(|worker| Input::LinkLost(WorkerId(worker))),
        2 => (1_u32..6).prop_map(|pid| Input::Exited { pid }),
        3 => any_placement().prop_map(Input::Placed),
        2 => (any_worker(), any_region())
            .prop_map(|(worker, region)| Input::NotPlaced { worker: WorkerId(worker), region }),
        2 => (any_worker(), any_region())
            .prop_map(|(worker, region)| Input::Retired { worker: WorkerId(worker), region }),
        2 => any_region().prop_map(Input::Evicted),
        2 => (0_u16..5, 0_u64..6, 0_u64..3_000)
            .prop_map(|(region, lease, silence)| silent(region, lease, Accuser::Edge, silence)),
        1 => (any_region(), 0_u64..6).prop_map(|(region, lease)| Input::Stalled {
            region,
            lease: Epoch::new(1, lease),
            stalled: true,
        }),
        2 => any_region().prop_map(|region| Input::Summary { region, idle: true }),
        1 => any_region().prop_map(Input::Evacuate),
        1 => any::<bool>().prop_map(Input::Lease),
        1 => Just(Input::Shutdown),
        4 => Just(Input::Timeout),
    ]
}

proptest! {
    /// Whatever anybody says, and when: no region server goes a way that the table does not have, and who has
    /// failed is believed no more.
    #[test]
    fn nobody_goes_a_way_that_the_table_does_not_have(
        inputs in prop::collection::vec((0_u64..2_000, any_input()), 0..80),
    ) {
        let settings = Settings {
            max_lifetime: Some(ms(9_000)),
            grow_above: 0.6,
            shrink_below: 0.5,
            ..settings(1)
        };
        let mut director = Director::new(settings, &map());
        let mut now = 0;
        director.handle(ms(now), Input::Lease(true));
        for (pause, input) in inputs {
            now += pause;
            let before: BTreeMap<WorkerId, Life> =
                director.workers().map(|(id, worker)| (*id, worker.life())).collect();
            let came_back = match &input {
                Input::Registered { worker, .. } => Some(*worker),
                _ => None,
            };
            // A step that is not in the table is a panic of `Worker::pass`.
            director.handle(ms(now), input);
            for (id, worker) in director.workers() {
                let was = before.get(id).copied().unwrap_or(Life::Starting);
                prop_assert!(ahead(was).contains(&worker.life()), "{was:?} became {:?}", worker.life());
                let known = before.contains_key(id) || came_back == Some(*id);
                prop_assert!(known, "nobody appears who did not register");
                if worker.life() == Life::Failed {
                    prop_assert!(!director.speaks(*id), "{id} has failed and is believed");
                }
                prop_assert!(
                    worker.life() != Life::Serving || worker.region().is_some(),
                    "{id} serves nothing"
                );
            }
        }
    }
}
