//! Things that exist once: none is lost, none is doubled.

use std::collections::BTreeMap;

use horizon_model::Tick;

use crate::event::{Event, Who};
use crate::report::{Invariant, Report};

#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Where each was found.
    minted: BTreeMap<u64, Option<Who>>,
    looked: bool,
}

impl Tokens {
    pub(crate) fn observe(&mut self, at: Tick, event: &Event, report: &mut Report) {
        match event {
            Event::Minted { token } => {
                let before = self.minted.insert(*token, None);
                if before.is_some() {
                    report.violated(at, Invariant::Conserved, format!("token {token} was minted twice"));
                }
            }
            Event::Found { token, with } => {
                self.looked = true;
                match self.minted.get_mut(token) {
                    None => {
                        let sentence = format!("token {token} with {with:?} was never minted");
                        report.violated(at, Invariant::Conserved, sentence);
                    }
                    Some(place @ None) => *place = Some(*with),
                    Some(Some(other)) => {
                        let sentence = format!("token {token} is with {other:?} and with {with:?}");
                        report.violated(at, Invariant::Conserved, sentence);
                    }
                }
            }
            _ => {}
        }
    }

    pub(crate) fn finish(&self, at: Tick, report: &mut Report) {
        // A history without an inventory at its end says nothing of tokens.
        for (token, place) in self.minted.iter().filter(|_| self.looked) {
            if place.is_none() {
                report.violated(at, Invariant::Conserved, format!("token {token} is with nobody"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use horizon_model::PlayerId;

    use super::*;
    use crate::history::testing::broken;

    #[test]
    fn tokens_are_conserved() {
        use Invariant::Conserved;
        let minted = |token| Event::Minted { token };
        let found = |token, player| Event::Found { token, with: Who::Player(PlayerId(player)) };
        let rows: [(&str, Vec<Event>, usize); 6] = [
            ("each once", vec![minted(1), minted(2), found(2, 1), found(1, 1)], 0),
            ("one is lost", vec![minted(1), minted(2), found(2, 1)], 1),
            ("one is doubled", vec![minted(1), found(1, 1), found(1, 2)], 1),
            ("one from nowhere", vec![minted(1), found(1, 1), found(7, 2)], 1),
            ("one minted twice", vec![minted(1), minted(1), found(1, 1)], 1),
            ("nobody looked", vec![minted(1)], 0),
        ];
        for (name, events, wrong) in rows {
            assert_eq!(broken(&events), vec![Conserved; wrong], "{name}");
        }
    }
}
