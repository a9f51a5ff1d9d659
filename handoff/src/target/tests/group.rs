//! A vehicle and its riders: asked for together, or not at all.

use super::*;

const RIDER: EntityKey = EntityKey::Player(PlayerId(8));
const R: HandoffId = HandoffId(101);
const GROUP: [HandoffId; 2] = [H, R];

fn vehicle() -> Input {
    Input::Final(FinalState { group: GROUP.to_vec(), ..last(9, None) })
}

fn rider() -> Input {
    Input::Final(FinalState { key: RIDER, handoff: R, group: GROUP.to_vec(), ..last(9, None) })
}

const fn staged(handoff: HandoffId) -> Input {
    Input::Staged { handoff }
}

/// Puts `inputs` in at once, and returns the calls to the store: the attempts of each.
fn calls(target: &mut Target, now: u64, inputs: &[Input]) -> Vec<Vec<HandoffId>> {
    let now = Duration::from_millis(now);
    let outputs = inputs.iter().flat_map(|input| target.handle(now, input.clone()));
    let call = |output| match output {
        Output::CasMove(call) => Some(call),
        _ => None,
    };
    outputs
        .filter_map(call)
        .map(|call| {
            assert!(call.windows(2).all(|pair| pair[0].stands_with(&pair[1])));
            call.iter().map(|request| request.handoff).collect()
        })
        .collect()
}

#[test]
fn the_store_is_asked_when_the_last_one_is_durable() {
    for (first, second) in [(H, R), (R, H)] {
        let mut target = Target::new(ME);
        assert!(calls(&mut target, 0, &[vehicle(), rider(), staged(first), staged(first)]).is_empty());
        assert_eq!(calls(&mut target, 1, &[staged(second)]), [GROUP.to_vec()]);
        assert!(calls(&mut target, 2, &[vehicle(), rider(), staged(first)]).is_empty(), "once");
        assert_eq!(calls(&mut target, 1001, &[Input::Timeout]), [GROUP.to_vec()], "all of them again");
        let unknown = [H, R].map(|handoff| Input::Unknown { handoff });
        assert!(calls(&mut target, 1002, &unknown).is_empty());
        assert_eq!(calls(&mut target, 1022, &[Input::Timeout]), [GROUP.to_vec()]);
    }
}

#[test]
fn a_member_that_was_replaced_is_asked_for_with_its_group_all_the_same() {
    let mut target = Target::new(ME);
    calls(&mut target, 0, &[vehicle(), rider(), staged(H), staged(R)]);
    // The source kept the rider, and offers it anew; whether the group was written before is not known yet.
    let again = FinalState { key: RIDER, handoff: HandoffId(102), epoch: Epoch(6), ..last(9, None) };
    assert!(calls(&mut target, 500, &[Input::Final(again)]).is_empty());
    assert_eq!(calls(&mut target, 1000, &[Input::Timeout]), [GROUP.to_vec()]);
}

#[test]
fn whoever_waits_for_the_others_can_be_withdrawn_and_offered_again() {
    let mut target = Target::new(ME);
    assert!(calls(&mut target, 0, &[vehicle(), staged(H)]).is_empty());
    let anew = Offer { handoff: HandoffId(102), epoch: Epoch(6), ..offer() };
    let offered = Input::Offer { offer: anew, ready: Ok(()) };
    assert_eq!(words(&target.handle(Duration::ZERO, offered)), ["accept"]);
    assert!(calls(&mut target, 0, &[rider(), staged(R)]).is_empty(), "never alone");
    assert_eq!(words(&target.handle(Duration::ZERO, Input::Withdraw { handoff: R })), ["forget"]);
    assert!(calls(&mut target, 0, &[rider(), staged(R)]).is_empty());
    assert_eq!(words(&target.handle(SHADOW_EXPIRY, Input::Timeout)), ["forget", "forget"]);
    assert_eq!(target.copies(), 0);
}

#[test]
fn all_are_answered() {
    let mut target = Target::new(ME);
    calls(&mut target, 0, &[vehicle(), rider(), staged(H), staged(R)]);
    let answer = |handoff, outcome| Input::Outcome { handoff, outcome };
    let rider_won = CasOutcome::Won(record(Epoch(6), ME.holder(), R));
    let mut said = target.handle(Duration::ZERO, answer(H, CasOutcome::Won(won())));
    said.extend(target.handle(Duration::ZERO, answer(R, rider_won)));
    assert_eq!(words(&said), ["activated 6", "activated 6"]);
    // The other member's record has passed: the store leaves this one's as it was.
    let mut target = Target::new(ME);
    calls(&mut target, 0, &[vehicle(), rider(), staged(H), staged(R)]);
    let as_before = Record { region: A, ..record(E, ME.holder(), HandoffId(1)) };
    let lost = CasOutcome::Lost(Some(as_before));
    assert_eq!(words(&target.handle(Duration::ZERO, answer(H, lost))), ["forget"]);
    assert_eq!(words(&target.handle(Duration::ZERO, offered())), ["accept"], "and may come later");
}

#[test]
fn a_group_names_its_members_and_is_bounded() {
    let stranger = FinalState { group: vec![R, HandoffId(5)], ..last(9, None) };
    let crowd =
        FinalState { group: (0..=MAX_GROUP as u128).map(|n| HandoffId(100 + n)).collect(), ..last(9, None) };
    check("another's, or too many", &[Input::Final(stranger), Input::Final(crowd)], "");
    let mut broken = Target::new(ME).without(Mutant::MembersOneByOne);
    let alone = calls(&mut broken, 0, &[vehicle(), rider(), staged(R)]);
    assert_eq!(alone, [[R]], "without the guard one of them goes alone");
}
