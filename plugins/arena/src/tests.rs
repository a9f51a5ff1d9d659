use horizon_plugin_api::testing::{Bench, Sent};
use horizon_plugin_api::{CoreEvent, SessionId};

use super::*;

const ADA: PlayerId = PlayerId(1);
const BOB: PlayerId = PlayerId(2);
const FAR: PlayerId = PlayerId(3);

fn bench() -> Bench {
    let mut bench = Bench::new::<Arena>("").expect("the plugin registers");
    for (player_id, name, x) in [(ADA, "Ada", -5.0), (BOB, "Bob", 5.0), (FAR, "Far", 90.0)] {
        let entity = bench.world.join(player_id, name, [x, 0.0, 0.0]);
        let (name, session) = (name.to_owned(), SessionId(1));
        let event = PlayerConnectedEvent { player_id, entity, name, session, spawn: None, fresh: true };
        bench.core(&CoreEvent::PlayerConnected(event.clone())).expect("connected");
        bench.core(&CoreEvent::PlayerConnected(event)).expect("connected again");
    }
    bench
}

/// Delivers messages until all of them have arrived, and returns what players' clients are told.
fn settle(bench: &mut Bench) -> Vec<Sent> {
    let mut told = Vec::new();
    while !bench.world.sent.is_empty() {
        for sent in std::mem::take(&mut bench.world.sent) {
            let Sent { to, object, event, .. } = &sent;
            match (to, object) {
                (Some(to), _) => match event.as_str() {
                    "struck" => bench.to_player(*to, "arena", "struck", &sent.read::<Ask>()),
                    "asked" => bench.to_player(*to, "arena", "asked", &sent.read::<Swap>()),
                    "paid" => bench.to_player(*to, "arena", "paid", &sent.read::<Paid>()),
                    "told" => bench.to_player(*to, "arena", "told", &sent.read::<Outcome>()),
                    _ => {
                        told.push(sent);
                        Ok(())
                    }
                },
                (_, Some(object)) if bench.world.objects.contains_key(object) => {
                    bench.to_object(*object, "arena", "picked", &sent.read::<Ask>())
                }
                (_, Some(object)) => {
                    bench.undeliverable((*object).into(), "arena", "picked", &sent.read::<Ask>())
                }
                _ => panic!("nobody tells everybody"),
            }
            .expect("handled");
        }
    }
    told
}

/// Sends an input, and returns the outcome that its sender is told.
fn ask<T: Serialize>(bench: &mut Bench, from: PlayerId, event: &str, message: &T) -> Outcome {
    bench.input(from, "arena", event, message).expect("handled");
    let told = settle(bench);
    let outcomes: Vec<_> = told.iter().filter(|sent| sent.event == "outcome").collect();
    assert_eq!((outcomes.len(), outcomes[0].to), (1, Some(from)), "{told:?}");
    outcomes[0].read()
}

fn purse(bench: &mut Bench, of: PlayerId) -> Vec<u64> {
    let entity = bench.world.players[&of].0;
    bench.world.component_of::<Fighter>(entity).expect("begun").coins
}

fn hit(id: u32, target: PlayerId) -> Hit {
    Hit { id, target: target.to_string() }
}

#[test]
fn hits_hurt_whoever_is_in_reach() {
    let mut bench = bench();
    for round in 1..=10 {
        assert_eq!(
            ask(&mut bench, ADA, "hit", &hit(round, BOB)),
            Outcome::done(round, 100 - u64::from(round) * 10)
        );
    }
    assert_eq!(ask(&mut bench, ADA, "hit", &hit(11, BOB)).value, 90, "beaten, and up again");
    assert_eq!(ask(&mut bench, ADA, "hit", &hit(12, FAR)), Outcome::refused(12, "out of reach"));
    bench
        .undeliverable(PlayerId(9).into(), "arena", "struck", &Ask { id: 13, by: ADA, place: [0.0; 3] })
        .expect("handled");
    assert!(!settle(&mut bench)[0].read::<Outcome>().done);
}

#[test]
fn a_coin_on_the_ground_goes_to_whoever_asks_first() {
    let mut bench = bench();
    let coin = coin_of(ADA, 1);
    let dropped = ask(&mut bench, ADA, "drop", &PutDown { id: 1, coin });
    assert_eq!((dropped.value, purse(&mut bench, ADA).len()), (coin, 3));
    assert!(!ask(&mut bench, ADA, "drop", &PutDown { id: 2, coin }).done, "it lies there already");
    let object = dropped.object.expect("it lies there");
    let pick = |id| Pick { id, coin: object.clone() };
    assert_eq!(ask(&mut bench, FAR, "pick", &pick(3)), Outcome::refused(3, "out of reach"));
    assert_eq!(ask(&mut bench, BOB, "pick", &pick(4)), Outcome::done(4, coin));
    assert_eq!(ask(&mut bench, ADA, "pick", &pick(5)), Outcome::refused(5, "it is gone"));
    assert_eq!(purse(&mut bench, BOB).last(), Some(&coin));
    let avatar = bench.world.players[&BOB].0.to_string();
    assert_eq!(ask(&mut bench, ADA, "pick", &Pick { id: 6, coin: avatar }).why, "that is no coin");
}

#[test]
fn both_coins_change_hands_or_neither() {
    let mut bench = bench();
    let (give, want) = (coin_of(ADA, 0), coin_of(BOB, 0));
    let trade = |id| Trade { id, with: BOB.to_string(), give, want };
    assert_eq!(ask(&mut bench, ADA, "trade", &trade(1)), Outcome::refused(1, "they do not offer that"));
    assert!(purse(&mut bench, ADA).contains(&give) && purse(&mut bench, BOB).contains(&want));
    assert!(ask(&mut bench, BOB, "offer", &Offer { id: 2, coin: want, to: ADA.to_string() }).done);
    assert_eq!(ask(&mut bench, ADA, "trade", &trade(3)), Outcome::done(3, want));
    assert!(purse(&mut bench, ADA).contains(&want) && purse(&mut bench, BOB).contains(&give));
    assert!(!ask(&mut bench, ADA, "trade", &trade(4)).done, "she has it no more");
    assert_eq!(purse(&mut bench, ADA).len() + purse(&mut bench, BOB).len(), 8);
}
