//! What a company does, drawn from a seed. Nothing here depends on what becomes of it.

/// Members of a company who walk; the outsider is one more.
pub const MEMBERS: usize = 4;
/// Coins of each when they join.
const COINS: usize = 4;

/// Whose coin it was at the beginning, and which of them.
pub type Coin = (usize, usize);

/// One thing that one member does. Members count from 0, and number [`MEMBERS`] is the outsider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Hits somebody.
    Hit {
        /// Who does it.
        by: usize,
        /// Whom.
        target: usize,
    },
    /// Puts a coin on the ground.
    Drop {
        /// Who does it.
        by: usize,
        /// Out of the own purse.
        coin: Coin,
    },
    /// Takes a coin from the ground, or finds that it is gone.
    Pick {
        /// Who does it.
        by: usize,
        /// Which lies there, or lay.
        coin: Coin,
    },
    /// Offers a coin for one of somebody else's.
    Offer {
        /// Who does it.
        by: usize,
        /// Out of the own purse.
        coin: Coin,
        /// To whom.
        to: usize,
    },
    /// Swaps coins with somebody who offers one, or does not.
    Trade {
        /// Who does it.
        by: usize,
        /// With whom.
        with: usize,
        /// Out of the own purse.
        give: Coin,
        /// Out of theirs.
        want: Coin,
    },
    /// Calls a vehicle.
    Call {
        /// Who does it.
        by: usize,
    },
    /// Gets on it, on the seat of the own number.
    Enter {
        /// Who does it.
        by: usize,
    },
    /// Drives it, with everybody on it.
    Drive {
        /// Who does it, sitting on it.
        by: usize,
        /// Where to, metres from the company's middle.
        to: [i32; 2],
    },
    /// Asks who sits on it.
    Ride {
        /// Who does it.
        by: usize,
    },
    /// Gets off.
    Leave {
        /// Who does it.
        by: usize,
    },
}

/// Whether a company has a vehicle, and does nothing but ride: each fourth.
pub const fn rides(company: usize) -> bool {
    company % 4 == 3
}

/// A trip takes as long as so many other actions.
const ACTIONS_PER_TRIP: usize = 50;

/// The script of one company: `actions` of them, and as many more as it takes until no coin lies on the ground.
pub fn script(seed: u64, company: usize, actions: usize) -> Vec<Action> {
    let seed = seed.wrapping_mul(0x0000_0100_0000_01b3) ^ company as u64;
    let mut author = Author {
        random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        purses: (0..MEMBERS).map(|member| (0..COINS).map(|coin| (member, coin)).collect()).collect(),
        ground: Vec::new(),
        actions: Vec::new(),
    };
    if rides(company) {
        author.ride(actions / ACTIONS_PER_TRIP);
        return author.actions;
    }
    while author.actions.len() < actions {
        author.scene();
    }
    while let Some(coin) = author.ground.pop() {
        let by = author.below(MEMBERS);
        author.pick(by, coin);
    }
    author.actions
}

/// Where vehicles stop, about, metres from the company's middle.
const CORNERS: [[i32; 2]; 4] = [[-25, -25], [15, -25], [-25, 15], [15, 15]];

/// Writes a script, and knows who has what if all goes right.
struct Author {
    random: u64,
    purses: Vec<Vec<Coin>>,
    ground: Vec<Coin>,
    actions: Vec<Action>,
}

impl Author {
    fn scene(&mut self) {
        let by = self.below(MEMBERS);
        let other = (by + 1 + self.below(MEMBERS - 1)) % MEMBERS;
        match self.below(20) {
            0 => self.actions.push(Action::Hit { by, target: MEMBERS }),
            1..=8 => self.actions.push(Action::Hit { by, target: other }),
            9..=11 => {
                if !self.purses[by].is_empty() {
                    let coin = self.take_any(by);
                    self.actions.push(Action::Drop { by, coin });
                    self.ground.push(coin);
                }
            }
            12..=15 => {
                if !self.ground.is_empty() {
                    let at = self.below(self.ground.len());
                    let coin = self.ground.swap_remove(at);
                    self.pick(by, coin);
                    if self.below(3) == 0 {
                        self.actions.push(Action::Pick { by: other, coin });
                    }
                }
            }
            16..=18 => self.trade(by, other, true),
            _ => self.trade(by, other, false),
        }
    }

    /// Trips to and fro over the borders and the corner, after which everybody says who is there; after every third,
    /// somebody gets off and on again.
    fn ride(&mut self, trips: usize) {
        self.actions.push(Action::Call { by: 0 });
        self.actions.extend((0..MEMBERS).map(|by| Action::Enter { by }));
        let mut corner = 0;
        for trip in 1..=trips.max(1) {
            // Never the one where it stands.
            corner = (corner + 1 + self.below(CORNERS.len() - 1)) % CORNERS.len();
            let [x, y] = CORNERS[corner];
            let aside = |author: &mut Self| author.below(10) as i32;
            let to = [x + aside(self), y + aside(self)];
            let by = self.below(MEMBERS);
            self.actions.push(Action::Drive { by, to });
            self.actions.extend((0..MEMBERS).map(|by| Action::Ride { by }));
            if trip.is_multiple_of(3) {
                let by = self.below(MEMBERS);
                self.actions.push(Action::Leave { by });
                self.actions.extend((0..MEMBERS).map(|by| Action::Ride { by }));
                self.actions.push(Action::Enter { by });
            }
        }
        self.actions.extend((0..MEMBERS).map(|by| Action::Leave { by }));
    }

    fn pick(&mut self, by: usize, coin: Coin) {
        self.actions.push(Action::Pick { by, coin });
        self.purses[by].push(coin);
    }

    /// A trade after an offer of that coin, or after an offer of it to somebody else.
    fn trade(&mut self, by: usize, with: usize, agreed: bool) {
        if self.purses[by].is_empty() || self.purses[with].is_empty() {
            return;
        }
        let (give, want) = (self.take_any(by), self.take_any(with));
        let somebody = (0..MEMBERS).find(|member| *member != by && *member != with).unwrap_or(MEMBERS);
        let to = if agreed { by } else { somebody };
        self.actions.push(Action::Offer { by: with, coin: want, to });
        self.actions.push(Action::Trade { by, with, give, want });
        let (mine, theirs) = if agreed { (want, give) } else { (give, want) };
        self.purses[by].push(mine);
        self.purses[with].push(theirs);
    }

    /// Some coin of a purse that is not empty.
    fn take_any(&mut self, from: usize) -> Coin {
        let at = self.below(self.purses[from].len());
        self.purses[from].swap_remove(at)
    }

    /// Xorshift.
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_script_is_its_seeds_and_leaves_nothing_on_the_ground() {
        let first = script(7, 2, 400);
        assert_eq!(first, script(7, 2, 400));
        assert_ne!(first, script(8, 2, 400));
        assert_ne!(first, script(7, 4, 400));
        assert!(first.len() >= 400);
        let mut ground = BTreeSet::new();
        for action in &first {
            match action {
                Action::Drop { coin, .. } => assert!(ground.insert(*coin), "{coin:?} lies there already"),
                Action::Pick { coin, .. } => {
                    ground.remove(coin);
                }
                _ => {}
            }
        }
        assert_eq!(ground, BTreeSet::new());
        let trades = first.iter().filter(|action| matches!(action, Action::Trade { .. })).count();
        let hits = first.iter().filter(|action| matches!(action, Action::Hit { .. })).count();
        assert!(trades > 20 && hits > 60, "{trades} trades, {hits} hits");
    }

    #[test]
    fn only_who_sits_on_it_drives_and_nobody_is_left_on_it() {
        assert!(rides(3) && !rides(2));
        let (mut on, mut drives) = (BTreeSet::new(), 0);
        for action in script(1, 3, 1000) {
            match action {
                Action::Call { .. } => assert!(on.is_empty()),
                Action::Enter { by } => assert!(on.insert(by)),
                Action::Leave { by } => assert!(on.remove(&by)),
                Action::Drive { by, .. } => {
                    drives += 1;
                    assert!(on.contains(&by));
                }
                Action::Ride { .. } => {}
                other => panic!("{other:?} is for other companies"),
            }
        }
        assert_eq!((on.len(), drives), (0, 20));
    }
}
