//! Region servers on machines of their own, and a cable that is pulled.

use horizon_client::Spelling;
use horizon_e2e::machines::Machines;
use horizon_e2e::{Player, World, recording};

/// Nobody sees the process end, and its port is not refused: it is just not heard any more, by anybody but the store.
#[tokio::test]
async fn a_machine_whose_cable_is_pulled_is_a_hiccup() {
    let machines = match Machines::up(8) {
        Ok(machines) => machines,
        Err(why) => {
            eprintln!("skipped: no machines of their own for region servers, because {why}");
            return;
        }
    };
    let world = World::start_on_machines(&machines).await;
    let ada = Player::join(&world, "Ada", Spelling::Binary, [-20.0, -60.0, 0.5]).await;
    let bert = Player::join(&world, "Bert", Spelling::Json, [-62.0, -60.0, 0.5]).await;
    ada.busy(true);
    bert.busy(true);
    ada.follow(recording::walk(&[[-20.0, -60.0, 0.5], [20.0, -60.0, 0.5], [-40.0, -60.0, 0.5]], 8.0));
    ada.until_true("two crossings from machine to machine", |seen| seen.epochs.len() >= 3).await;
    ada.until_true("the end of the walk", |seen| seen.applied > 30).await;
    let owner = world.only_owner().await;
    let epochs = ada.seen().epochs.len();
    world.warm().await;

    let before = ada.seen();
    let cut_off = Machines::of(owner);
    assert!(world.lives(owner));
    machines.pull_cable(cut_off);
    for player in [&ada, &bert] {
        player.until_true("the news", |seen| seen.resyncs > before.resyncs).await;
        let sent = player.seen().sent.count();
        player.until_true("play after it", |seen| u64::from(seen.applied) > sent + 5).await;
    }
    let successor = world.only_owner().await;
    assert_ne!(Machines::of(successor), cut_off);
    machines.plug_in(cut_off);
    world.ended(owner).await;
    for player in [&ada, &bert] {
        player.assert_account().await;
        let seen = player.seen();
        assert_eq!(seen.disconnects, Vec::<String>::new(), "the socket stays");
        assert!(seen.epochs.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", seen.epochs);
        assert_eq!(seen.resyncs, 1, "one takeover");
    }
    assert_eq!(ada.seen().epochs.len(), epochs + 1);
    world.finish().await;
}
