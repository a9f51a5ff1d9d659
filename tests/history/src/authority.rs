//! Who may act: one process per entity and epoch, epochs that only rise, one ending per handoff.

use std::collections::{BTreeMap, VecDeque};

use horizon_model::{Epoch, RegionId, Tick, WorkerId};

use crate::event::{Ending, Event, Holder, Who};
use crate::report::{Invariant, Report};

/// Links of a lineage that are remembered: an effect may be accepted this many epochs late.
const KEPT_LINKS: usize = 16;

/// One link: an epoch of an entity.
#[derive(Debug)]
struct Link {
    epoch: Epoch,
    /// As the store wrote it: who, and in which region.
    written: Option<(RegionId, Option<Holder>)>,
    /// The first process whose effect under this epoch was accepted.
    acted: Option<WorkerId>,
    ended: Option<Ending>,
    told: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Authority {
    leases: BTreeMap<RegionId, Epoch>,
    lineages: BTreeMap<Who, VecDeque<Link>>,
}

impl Authority {
    pub(crate) fn observe(&mut self, at: Tick, event: &Event, report: &mut Report) {
        match event {
            Event::Leased { region, worker, lease } => {
                let before = self.leases.entry(*region).or_insert(Epoch::ZERO);
                if lease <= before {
                    let sentence =
                        format!("region {region}: worker {worker} got lease {lease} after {before}");
                    report.violated(at, Invariant::EpochsRise, sentence);
                }
                *before = (*before).max(*lease);
            }
            Event::Recorded { who, epoch, region, holder, .. } => {
                self.recorded(at, *who, *epoch, *region, *holder, report);
            }
            Event::Acted { who, epoch, worker, source } => {
                let link = link(&mut self.lineages, *who, *epoch);
                let first = *link.acted.get_or_insert(*worker);
                let won = link.written.and_then(|(_, holder)| holder).map(|holder| holder.worker);
                let wrong = won.is_some_and(|won| won != *worker) || first != *worker;
                if wrong && !link.told {
                    link.told = true;
                    let sentence = format!(
                        "{who:?} at epoch {epoch}: an effect of worker {worker} was accepted ({source:?}), \
                         the record names {won:?}, worker {first} acted first"
                    );
                    report.violated(at, Invariant::OneAuthority, sentence);
                }
            }
            Event::Ended { who, from_epoch, ending } => self.ended(at, *who, *from_epoch, *ending, report),
            _ => {}
        }
    }

    fn recorded(
        &mut self,
        at: Tick,
        who: Who,
        epoch: Epoch,
        region: RegionId,
        holder: Option<Holder>,
        report: &mut Report,
    ) {
        let newest = self.lineages.get(&who).into_iter().flatten();
        let newest = newest.filter(|link| link.written.is_some()).map(|link| link.epoch).max();
        if newest.is_some_and(|newest| newest >= epoch) {
            let sentence = format!("{who:?}: the store wrote epoch {epoch} after {newest:?}");
            report.violated(at, Invariant::EpochsRise, sentence);
        }
        let link = link(&mut self.lineages, who, epoch);
        link.written = Some((region, holder));
        if let (Some(acted), Some(holder)) = (link.acted, holder)
            && acted != holder.worker
            && !link.told
        {
            link.told = true;
            let sentence = format!(
                "{who:?} at epoch {epoch}: worker {acted} acted before worker {} won it",
                holder.worker
            );
            report.violated(at, Invariant::OneAuthority, sentence);
        }
    }

    fn ended(&mut self, at: Tick, who: Who, from: Epoch, ending: Ending, report: &mut Report) {
        let link = link(&mut self.lineages, who, from);
        if let Some(before) = link.ended {
            let sentence =
                format!("{who:?}: the handoff of epoch {from} ended twice, {before:?} and {ending:?}");
            report.violated(at, Invariant::OneEnding, sentence);
        }
        link.ended = Some(ending);
    }
}

fn link(lineages: &mut BTreeMap<Who, VecDeque<Link>>, who: Who, epoch: Epoch) -> &mut Link {
    let lineage = lineages.entry(who).or_default();
    let place = lineage.partition_point(|link| link.epoch < epoch);
    if lineage.get(place).is_none_or(|link| link.epoch != epoch) {
        lineage.insert(place, Link { epoch, written: None, acted: None, ended: None, told: false });
    }
    let mut place = place;
    while lineage.len() > KEPT_LINKS && place > 0 {
        lineage.pop_front();
        place -= 1;
    }
    &mut lineage[place]
}

#[cfg(test)]
mod tests {
    use horizon_model::PlayerId;

    use super::*;
    use crate::event::Source;
    use crate::history::testing::broken;

    const ADA: Who = Who::Player(PlayerId(1));

    fn epoch(count: u64) -> Epoch {
        Epoch::new(1, count)
    }

    fn won(count: u64, worker: u64) -> Event {
        let holder = Some(Holder { worker: WorkerId(worker), lease: epoch(1) });
        Event::Recorded { who: ADA, epoch: epoch(count), region: RegionId(0), holder, applied: None }
    }

    fn acted(count: u64, worker: u64) -> Event {
        Event::Acted { who: ADA, epoch: epoch(count), worker: WorkerId(worker), source: Source::Edge }
    }

    fn ended(count: u64, ending: Ending) -> Event {
        Event::Ended { who: ADA, from_epoch: epoch(count), ending }
    }

    #[test]
    fn authorities() {
        use Invariant::{EpochsRise, OneAuthority};
        let rows: [(&str, Vec<Event>, Vec<Invariant>); 6] = [
            ("owners in turn", vec![won(1, 1), acted(1, 1), won(2, 2), acted(2, 2), acted(1, 1)], vec![]),
            ("a loser acts", vec![won(1, 1), acted(1, 2), acted(1, 2)], vec![OneAuthority]),
            ("two act before the record is seen", vec![acted(3, 1), acted(3, 2)], vec![OneAuthority]),
            ("somebody acts before another wins", vec![acted(2, 1), won(2, 2)], vec![OneAuthority]),
            ("the store goes back", vec![won(2, 1), won(1, 2)], vec![EpochsRise]),
            ("the store writes an epoch twice", vec![won(2, 1), won(2, 1)], vec![EpochsRise]),
        ];
        for (name, events, wrong) in rows {
            assert_eq!(broken(&events), wrong, "{name}");
        }
    }

    #[test]
    fn a_lease_is_granted_under_a_higher_epoch_each_time() {
        let leased = |count| Event::Leased { region: RegionId(1), worker: WorkerId(1), lease: epoch(count) };
        assert_eq!(broken(&[leased(1), leased(2)]), []);
        assert_eq!(broken(&[leased(2), leased(2)]), [Invariant::EpochsRise]);
    }

    #[test]
    fn a_handoff_ends_once() {
        let (won, kept) = (Ending::Committed, Ending::Aborted);
        assert_eq!(broken(&[ended(1, won), ended(2, kept), ended(3, won)]), []);
        assert_eq!(broken(&[ended(1, won), ended(1, kept)]), [Invariant::OneEnding]);
    }

    #[test]
    fn old_links_are_forgotten() {
        let mut authority = Authority::default();
        let mut report = Report::default();
        for n in 1..1000 {
            authority.observe(Tick(n), &won(n, n), &mut report);
            authority.observe(Tick(n), &acted(n, n), &mut report);
        }
        assert_eq!((authority.lineages[&ADA].len(), report.total()), (KEPT_LINKS, 0));
    }
}
