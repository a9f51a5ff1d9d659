use proptest::prelude::*;

use super::*;

const A: RegionId = RegionId(1);
const B: RegionId = RegionId(2);
const E1: Epoch = Epoch(1);
const E2: Epoch = Epoch(2);

fn input(seq: u32) -> Input<u32> {
    Input::ClientInput { seq, bytes: 1, input: seq }
}

const fn attach(epoch: Epoch, region: RegionId, applied: u32) -> Input<u32> {
    Input::Attach { epoch, region, applied }
}

const fn to(region: RegionId, seq: u32) -> Output<u32> {
    Output::Forward { region, seq, input: seq }
}

#[track_caller]
fn check(row: &str, inputs: &[Input<u32>], expected: &[Output<u32>]) {
    let mut route = Route::new(E1, A);
    let outputs: Vec<_> = inputs.iter().flat_map(|input| route.handle(input.clone())).collect();
    assert_eq!(outputs, expected, "{row}");
}

#[test]
fn inputs() {
    use Output::NackClient;
    check("none before an attach", &[input(1), input(2)], &[]);
    check("from the number the region named", &[input(1), input(2), attach(E1, A, 1)], &[to(A, 2)]);
    check("once, however often they come", &[attach(E1, A, 0), input(1), input(1)], &[to(A, 1)]);
    check(
        "again for the next owner",
        &[attach(E1, A, 0), input(1), input(2), attach(E2, B, 1)],
        &[to(A, 1), to(A, 2), to(B, 2)],
    );
    check(
        "a repeated or late attach rewinds nothing",
        &[attach(E1, A, 0), input(1), attach(E1, A, 0), attach(E2, B, 1), attach(E1, A, 0), input(2)],
        &[to(A, 1), to(B, 2)],
    );
    check(
        "a gap is the client's to fill, and it is asked once",
        &[attach(E1, A, 0), input(3), input(4), input(1), input(2)],
        &[NackClient { from: 1 }, to(A, 1), to(A, 2), to(A, 3), to(A, 4)],
    );
    check(
        "held between hint and attach",
        &[attach(E1, A, 0), Input::Hint { epoch: E2, region: B }, input(1), attach(E2, B, 0)],
        &[to(B, 1)],
    );
    check(
        "a region that lost some gets them again",
        &[attach(E1, A, 0), input(1), input(2), Input::Nack { region: A, from: 2 }],
        &[to(A, 1), to(A, 2), to(A, 2)],
    );
    check(
        "durable ones are gone, also on the word of an older owner",
        &[
            attach(E2, B, 0),
            input(1),
            Input::Progress { epoch: E1, applied: 1, durable: 1 },
            input(1),
            attach(Epoch(3), A, 0),
            input(2),
        ],
        &[to(B, 1), NackClient { from: 1 }],
    );
}

#[test]
fn frames() {
    use Output::{Accept, Drop, Reopen};
    let frame = |epoch, region| Input::FrameFrom { epoch, region };
    check("the owner's", &[frame(E1, A)], &[Accept]);
    check("a stranger's at the same epoch", &[frame(E1, B)], &[Drop]);
    check("a newer owner's move the route", &[frame(E2, B), frame(E1, A)], &[Accept, Drop]);
    check("a hint is enough to drop the old", &[Input::Hint { epoch: E2, region: B }, frame(E1, A)], &[Drop]);
    check(
        "an older hint moves nothing",
        &[frame(E2, B), Input::Hint { epoch: E1, region: A }, frame(E2, B)],
        &[Accept, Accept],
    );
    check(
        "a lost region is opened again, and attaches anew at its epoch",
        &[
            attach(E1, A, 3),
            Input::RegionLost { region: B },
            Input::RegionLost { region: A },
            input(4),
            attach(E1, A, 3),
        ],
        &[Reopen { region: A }, to(A, 4)],
    );
}

#[test]
fn a_full_ring_forgets_its_oldest_and_says_so_when_they_are_needed() {
    let mut route = Route::new(E1, A);
    for seq in 1..=MAX_RING_INPUTS as u32 + 10 {
        assert_eq!(route.handle(input(seq)), []);
    }
    assert_eq!(route.kept(), (MAX_RING_INPUTS, MAX_RING_INPUTS));
    assert_eq!(route.handle(attach(E1, A, 5)), [Output::NackClient { from: 6 }]);
    let mut forwarded = vec![];
    for seq in 6..=10 {
        forwarded.extend(route.handle(input(seq)));
    }
    let all: Vec<_> = (6..=MAX_RING_INPUTS as u32 + 10).map(|seq| to(A, seq)).collect();
    assert_eq!(forwarded, all, "in order, each once, no further question");

    let mut route = Route::new(E1, A);
    route.handle(Input::ClientInput { seq: 1, bytes: MAX_RING_BYTES + 1, input: 1 });
    assert_eq!(route.kept(), (0, 0));
    assert_eq!(route.handle(attach(E1, A, 0)), [Output::NackClient { from: 1 }]);
}

proptest! {
    /// Whatever owners come and go, each gets a run of numbers without a gap from where it asked,
    /// and a client that answers every Nack gets all its inputs to the last owner.
    #[test]
    fn every_owner_gets_an_unbroken_run(steps in prop::collection::vec((0..6_u8, 0..40_u32), 0..120)) {
        let (mut route, mut sent, mut epoch) = (Route::new(E1, A), 0_u32, 1_u64);
        let (mut applied, mut durable) = (0_u32, 0_u32);
        let mut expected = None;
        let (mut drive, mut todo): (_, VecDeque<Input<u32>>) = (steps.into_iter(), VecDeque::new());
        let mut finished = false;
        loop {
            let next = match todo.pop_front() {
                Some(input) => input,
                None => match drive.next() {
                    Some((0 | 1, _)) => { sent += 1; input(sent) }
                    Some((2, back)) => {
                        epoch += 1;
                        applied = applied.saturating_sub(back).max(durable);
                        expected = Some(applied + 1);
                        attach(Epoch(epoch), RegionId(back as u16), applied)
                    }
                    Some((3, back)) => attach(Epoch(epoch - 1), B, back),
                    Some((4, _)) => {
                        durable = durable.max(applied.saturating_sub(20));
                        Input::Progress { epoch: Epoch(epoch), applied, durable }
                    }
                    Some((_, again)) if again > 0 && again <= sent => input(again),
                    Some(_) => continue,
                    None if !finished => {
                        finished = true;
                        epoch += 1;
                        expected = Some(applied + 1);
                        attach(Epoch(epoch), A, applied)
                    }
                    None => break,
                },
            };
            for output in route.handle(next) {
                match output {
                    Output::Forward { seq, input, .. } => {
                        prop_assert_eq!(Some(seq), expected);
                        prop_assert_eq!(seq, input);
                        applied = applied.max(seq);
                        expected = Some(seq + 1);
                    }
                    Output::NackClient { from } => todo.extend((from..=sent).map(input)),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert!(route.kept().0 <= MAX_RING_INPUTS);
        }
        prop_assert_eq!(expected, Some(sent + 1));
    }
}
