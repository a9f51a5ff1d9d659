use horizon_model::{EdgeId, Epoch, Pose, SessionId, Tick};
use horizon_protocol::client::{MoveSample, Spelling};
use proptest::prelude::*;

use super::*;

fn sample(tick: u64, yaw: f32) -> MoveSample {
    MoveSample { tick: Tick(tick), pose: Pose { yaw, ..Pose::default() } }
}

#[test]
fn inputs_come_out_in_order_and_a_gap_is_named_once() {
    let mut lane = InputLane::new(4);
    assert_eq!(lane.accept(4, 'x'), Admission::Duplicate);
    assert_eq!(lane.accept(6, 'b'), Admission::Gap { from: 5 });
    assert_eq!(lane.accept(7, 'c'), Admission::Held);
    assert_eq!(lane.accept(6, 'b'), Admission::Held);
    assert_eq!(lane.accept(5, 'a'), Admission::Accepted(vec![(5, 'a'), (6, 'b'), (7, 'c')]));
    assert_eq!(lane.accept(9, 'e'), Admission::Gap { from: 8 }, "another gap is another question");
    assert_eq!(lane.accept(8 + 65, 'z'), Admission::Held, "beyond the window: dropped");
    assert_eq!(InputLane::<char>::decode(&lane.encode()).map(|lane| lane.applied()), Ok(7));
    assert!(InputLane::<char>::decode(b"12345").is_err());
}

#[test]
fn a_full_tail_loses_nothing_and_goes_on_after_an_ack() {
    let mut tail = EventTail::new();
    let mut pushed = 0;
    let full = loop {
        match tail.push("chat", "said", vec![0; 1000]) {
            Ok(number) => pushed = number,
            Err(full) => break full,
        }
    };
    assert_eq!((tail.last(), pushed), (16, 16));
    assert!(full.held + full.bytes > MAX_TAIL_BYTES);
    tail.ack(3);
    tail.ack(2);
    assert_eq!(tail.unacked().map(|event| event.number).collect::<Vec<_>>(), (4..=16).collect::<Vec<_>>());
    assert_eq!(tail.push("chat", "said", vec![0; 1000]), Ok(17), "the refused one has this number now");
    tail.ack(99);
    assert_eq!((tail.bytes(), tail.last()), (0, 17));
}

#[test]
fn movement_is_latest_wins_and_catches_up_step_by_step() {
    let mut moves = MoveBuffer::new();
    for tick in [4, 2, 6, 2] {
        moves.insert(sample(tick, tick as f32));
    }
    moves.insert(sample(4, 9.0));
    assert_eq!(moves.len(), 3);
    assert_eq!(moves.take(Tick(1)), None);
    assert_eq!(moves.take(Tick(5)), Some(sample(4, 4.0)), "the newest of its time, the first of its tick");
    assert_eq!(moves.take(Tick(5)), None);
    moves.insert(sample(3, 3.0));
    moves.insert(sample(4, 4.0));
    assert_eq!(moves.len(), 1, "what was passed over does not come back");
    assert_eq!(moves.take(Tick(6)), Some(sample(6, 6.0)));
    for tick in 100..200 {
        moves.insert(sample(tick, 0.0));
    }
    assert_eq!(moves.len(), MAX_MOVE_SAMPLES);
    assert_eq!(moves.take(Tick(135)), None, "the oldest were forgotten");
}

#[test]
fn lanes_travel() {
    let session = SessionState {
        session: SessionId(5),
        session_epoch: Epoch::new(1, 3),
        spelling: Spelling::Json,
        edge: EdgeId(9),
        name: "Ada".to_owned(),
    };
    assert_eq!(SessionState::decode(&session.encode()), Ok(session));
    let mut tail = EventTail::new();
    tail.push("chat", "said", b"hi".to_vec()).expect("room");
    assert_eq!(EventTail::decode(&tail.encode()), Ok(tail.clone()));
    let mut moves = MoveBuffer::new();
    moves.insert(sample(4, 1.0));
    moves.take(Tick(4));
    moves.insert(sample(8, 1.0));
    assert_eq!(MoveBuffer::decode(&moves.encode()), Ok(moves));
    assert!(EventTail::decode(&tail.encode()[1..]).is_err() && EventTail::decode(&[]).is_err());
}

proptest! {
    /// However inputs are lost, repeated and reordered, what comes out is 1, 2, 3 … and a sender that
    /// answers the last question gets everything applied. A handoff at any point changes nothing.
    #[test]
    fn each_input_once_in_order(arrivals in prop::collection::vec((1..40_u32, any::<bool>()), 0..200)) {
        let mut lane = InputLane::new(0);
        let mut out = vec![];
        for (seq, handed_over) in arrivals.into_iter().chain((1..=40).map(|seq| (seq, false))) {
            if handed_over {
                lane = InputLane::decode(&lane.encode()).expect("just written");
            }
            if let Admission::Accepted(run) = lane.accept(seq, seq) {
                out.extend(run);
            }
        }
        prop_assert_eq!(out, (1..=40).map(|seq| (seq, seq)).collect::<Vec<_>>());
    }

    /// No bytes make a lane panic.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = (EventTail::decode(&bytes), MoveBuffer::decode(&bytes), SessionState::decode(&bytes));
    }
}
