//! How many workers there are, and why each decision is taken.

use super::*;

/// `busy` workers from 10 on that serve a region each; who directs begins then.
fn busy(busy: u16) -> Vec<(u64, Input)> {
    let serving = |n: u16| registered(u64::from(n) + 10, Some(placement(n, u64::from(n) + 10, 1)));
    let mut steps: Vec<_> = (0..busy).map(|n| (0, serving(n))).collect();
    steps.push(LEAD);
    steps
}

fn spawns(settings: Settings, steps: &[(u64, Input)]) -> usize {
    let grid = GridMap::new([0.0, 0.0], 200.0, 4, 4).expect("on the lattice");
    let mut director = Director::new(settings, &RegionMap { map_epoch: 1, grid });
    let outputs = steps.iter().flat_map(|(at, input)| handle(&mut director, *at, input.clone()));
    outputs.filter(|output| *output == Output::Spawn).count()
}

#[test]
fn more_wait_where_more_have_a_region() {
    let many = Settings { max_workers: 64, ..settings(1) };
    // All of `warm_workers`, and as many that no larger share than 0.8 has a region.
    let rows = [
        (1, 1.0, 1),
        (16, 1.0, 1),
        (1, 0.8, 1),
        (4, 0.8, 1),
        (5, 0.8, 2),
        (8, 0.8, 2),
        (9, 0.8, 3),
        (16, 0.8, 4),
    ];
    for (regions, grow_above, expected) in rows {
        let settings = Settings { grow_above, ..many };
        assert_eq!(spawns(settings, &busy(regions)), expected, "{regions} regions, {grow_above}");
    }
    let few = Settings { grow_above: 0.8, max_workers: 17, ..many };
    assert_eq!(spawns(few, &busy(16)), 1, "as far as there may be any");
}

#[test]
fn a_placement_has_the_machine_to_itself() {
    let base = [LEAD, (1, Input::Spawned { pid: 7 }), (2, registered(7, None)), (10, ensure(0, Why::Player))];
    let placed = [Output::Spawn, place(7, 0, Why::Player)];
    let filled = [placed[0].clone(), placed[1].clone(), Output::Spawn];
    let then = |at: u64, input: Input| [&base[..], &[(at, input)]].concat();
    let director = check("nobody is started meanwhile", 1, &then(209, Input::Timeout), &placed);
    assert_eq!(director.next_timeout(), Some((ms(210), "a placement")));
    check(
        "the pool is filled up when it has ended",
        1,
        &then(30, Input::Placed(placement(0, 7, 1))),
        &filled,
    );
    check("or takes too long", 1, &then(210, Input::Timeout), &filled);
    check(
        "whoever has to wait for a process is not kept waiting",
        1,
        &then(11, ensure(1, Why::Player)),
        &filled,
    );
    let failed = then(30, Input::NotPlaced { worker: WorkerId(7), region: RegionId(0) });
    check("the worker is free again", 1, &failed, &placed);
}

#[test]
fn who_is_ready_for_longest_is_placed() {
    let steps = [
        LEAD,
        (1, Input::Spawned { pid: 9 }),
        (2, registered(9, None)),
        (3, registered(7, None)),
        (10, ensure(0, Why::Player)),
    ];
    check("the lower name came later", 1, &steps, &[Output::Spawn, place(9, 0, Why::Player)]);
}

#[test]
fn whoever_waits_in_vain_ends() {
    let of = |shrink_below| Settings { shrink_below, max_workers: 64, ..settings(1) };
    let mut steps = busy(1);
    steps.extend([(2, registered(30, None)), (3, registered(31, None)), (4, registered(32, None))]);
    let end = |worker| Output::Retire { worker: WorkerId(worker), region: None, exit: true };
    let after = |at: u64| {
        let mut steps = steps.clone();
        steps.push((at, Input::Timeout));
        steps
    };
    // One of four has a region; the first registration asks for the one that is to wait.
    check_with("not yet", of(0.3), &after(3_001), &[Output::Spawn]);
    check_with("a quarter is enough", of(0.25), &after(9_000), &[Output::Spawn]);
    let mut rest = busy(1);
    rest.extend([
        (1, Input::Spawned { pid: 30 }),
        (2, registered(30, None)),
        (3, registered(31, None)),
        (4, registered(32, None)),
    ]);
    rest.push((3_002, Input::Timeout));
    let director = check_with("who has waited for longest", of(0.3), &rest, &[Output::Spawn, end(30)]);
    let due = director.next_timeout();
    assert_eq!(
        due.map(|(at, _)| at),
        Some(ms(13_002)),
        "its end; a third of those left has a region: {due:?}"
    );
    rest.push((9_000, Input::Timeout));
    check_with("the share is larger now", of(0.3), &rest, &[Output::Spawn, end(30)]);
    check_with("down to what is to wait", of(1.0), &rest, &[Output::Spawn, end(30), end(31)]);
    let elsewhere = Settings { starts_workers: false, ..of(1.0) };
    check_with("those whom somebody else starts stay", elsewhere, &rest, &[]);
}

#[test]
fn nobody_grows_too_old() {
    let settings = Settings { max_lifetime: Some(ms(1_000)), replace_at: 0.9, ..settings(0) };
    let steps =
        [LEAD, (1, registered(7, Some(placement(2, 7, 1)))), (2, registered(8, None)), (900, Input::Timeout)];
    let mut director = check_with("not yet", settings, &steps, &[]);
    assert_eq!(director.next_timeout().map(|(at, _)| at), Some(ms(901)));
    let relieve = Output::Relieve { worker: WorkerId(7), region: RegionId(2) };
    let because = Because::Aged { age: ms(900), greatest: ms(1_000) };
    assert_eq!(director.handle(ms(901), Input::Timeout)[0], Decision { output: relieve, because });
}

#[test]
fn a_decision_comes_with_what_led_to_it() {
    let mut director = Director::new(settings(0), &map());
    director.handle(ms(0), Input::Lease(true));
    let mut last = |at, input| {
        let mut decisions = director.handle(ms(at), input);
        decisions.retain(|decision| !matches!(decision.output, Output::Announce(_)));
        (decisions.len() == 1).then(|| decisions.remove(0).because)
    };
    let pool = Pool { waiting: 1, max_workers: 4, ..Pool::default() };
    assert_eq!(last(5, ensure(2, Why::Prediction)), Some(Because::TooFew(pool)));
    last(6, Input::Spawned { pid: 7 });
    let needed = Because::Needed { why: Why::Prediction, waited: ms(4), free: 1 };
    assert_eq!(last(9, registered(7, None)), Some(needed));
    last(10, Input::Placed(placement(2, 7, 1)));
    last(20, Input::Summary { region: RegionId(2), idle: true });
    let idle = Because::Idle { idle: GRACE, grace: GRACE, spare: 0, wanted: 0 };
    assert_eq!(last(3_020, Input::Timeout), Some(idle));
    let late = Because::Overdue { missed: "return of its region", late: ms(7) };
    assert_eq!(last(13_027, Input::Timeout), Some(late));
    assert_eq!(last(13_030, Input::Exited { pid: 7 }), Some(Because::Gone));
    assert_eq!(director.ended(), crate::director::Ended { retired: 0, failed: 1 });
}

#[test]
fn who_would_direct_says_the_same_and_changes_nothing() {
    let world = [
        (2, ensure(2, Why::Player)),
        (3, Input::Placed(placement(2, 7, 1))),
        (4, registered(8, None)),
        (10, Input::Summary { region: RegionId(2), idle: true }),
        (3_010, Input::Timeout),
    ];
    let mut real = Director::new(settings(1), &map());
    let mut shadow = Director::new(settings(1), &map());
    for director in [&mut real, &mut shadow] {
        director.handle(ms(0), registered(7, None));
    }
    real.handle(ms(0), Input::Lease(true));
    let (mut decided, mut would) = (Vec::new(), Vec::new());
    for (at, input) in world {
        let kept = |decision: &Decision| !decision.output.concerns_this_edge_alone();
        decided.extend(real.handle(ms(at), input.clone()).into_iter().filter(kept));
        let done: Vec<_> = shadow.handle(ms(at), input).into_iter().filter(kept).collect();
        assert_eq!(done, [], "nobody is told anything");
        would.extend(shadow.would_decide(ms(at)));
        assert_eq!(shadow.would_decide(ms(at)), shadow.would_decide(ms(at)), "asking changes nothing");
    }
    let of = |decisions: Vec<Decision>| -> Vec<Output> {
        decisions.into_iter().map(|decision| decision.output).collect()
    };
    let retire = |exit| Output::Retire { worker: WorkerId(7), region: Some(RegionId(2)), exit };
    let expected = [place(7, 2, Why::Player), Output::Spawn, retire(true)];
    assert_eq!(of(decided), expected);
    let mut said = of(would);
    said.dedup();
    assert_eq!(said, expected);
}

#[test]
fn somebody_gets_ready_while_a_region_stands_still() {
    let stalled =
        |lease, stalled| Input::Stalled { region: RegionId(2), lease: Epoch::new(1, lease), stalled };
    let base = [LEAD, (1, registered(7, Some(placement(2, 7, 3))))];
    let after = |more: &[(u64, Input)]| [&base[..], more].concat();
    let director = check("it stands still", 0, &after(&[(2, stalled(3, true))]), &[Output::Spawn]);
    assert!(director.region(RegionId(2)).is_some_and(Region::is_stalled));
    check("somebody waits already", 1, &after(&[(2, stalled(3, true))]), &[Output::Spawn]);
    let director = check("an older lease did", 0, &after(&[(2, stalled(2, true))]), &[]);
    assert_eq!(director.pool().stalled, 0);
    let steps = after(&[(2, stalled(3, true)), (3, stalled(3, false))]);
    let director = check("it steps again", 0, &steps, &[Output::Spawn]);
    assert_eq!(director.pool().stalled, 0);
    let mut steps =
        after(&[(2, stalled(3, true)), (3, Input::Spawned { pid: 8 }), (400, registered(8, None))]);
    steps.push((1_100, silent(2, 3, Accuser::Edge, 1_000)));
    let evict = Output::Evict { region: RegionId(2), worker: WorkerId(7) };
    // And one more to wait, until the silent one does not count.
    check("it stays silent", 0, &steps, &[Output::Spawn, evict]);
}
