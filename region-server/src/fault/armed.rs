//! What is armed: `STEP:ROLE:NTH:ACTION`.

use std::str::FromStr;
use std::time::Duration;

/// A place in a crossing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Presync,
    Frozen,
    Final,
    Asked,
    Answered,
    Owner,
    Attached,
    Post,
}

/// Which end of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Source,
    Target,
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Hold,
    Kill,
    Stop,
    Panic,
    Delay(Duration),
    Repeat(Duration),
    Late(Duration),
    DiskFull,
    Large(Duration),
}

/// One point with its action, at its `left`th time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Armed {
    pub(crate) step: Step,
    pub(crate) role: Role,
    pub(crate) left: u32,
    pub(crate) action: Action,
}

impl Step {
    const ALL: [(&'static str, Self); 8] = [
        ("presync", Self::Presync),
        ("frozen", Self::Frozen),
        ("final", Self::Final),
        ("asked", Self::Asked),
        ("answered", Self::Answered),
        ("owner", Self::Owner),
        ("attached", Self::Attached),
        ("post", Self::Post),
    ];

    pub(crate) fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, step)| *step == self);
        found.expect("every step has a name").0
    }
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

impl FromStr for Armed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no fault; write STEP:ROLE:NTH:ACTION, such as final:target:1:kill");
        let words: Vec<&str> = text.trim().split(':').collect();
        let &[step, role, nth, action] = words.as_slice() else { return Err(wrong()) };
        let step = Step::ALL.iter().find(|(name, _)| *name == step).ok_or_else(wrong)?.1;
        let role = match role {
            "source" => Role::Source,
            "target" => Role::Target,
            _ => return Err(wrong()),
        };
        let left = nth.parse().ok().filter(|nth| *nth > 0).ok_or_else(wrong)?;
        let timed = |ms: &str| ms.parse().map(Duration::from_millis).map_err(|_| wrong());
        let action = match action.split_once('=') {
            None => match action {
                "hold" => Action::Hold,
                "kill" => Action::Kill,
                "stop" => Action::Stop,
                "panic" => Action::Panic,
                "disk-full" => Action::DiskFull,
                _ => return Err(wrong()),
            },
            Some(("delay", ms)) => Action::Delay(timed(ms)?),
            Some(("repeat", ms)) => Action::Repeat(timed(ms)?),
            Some(("late", ms)) => Action::Late(timed(ms)?),
            Some(("large", ms)) => Action::Large(timed(ms)?),
            Some(_) => return Err(wrong()),
        };
        Ok(Self { step, role, left, action })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_spelled_in_four_words() {
        let expected = Armed {
            step: Step::Final,
            role: Role::Target,
            left: 2,
            action: Action::Late(Duration::from_secs(1)),
        };
        assert_eq!("final:target:2:late=1000".parse(), Ok(expected));
        for wrong in
            ["", "final:target:1", "final:target:0:kill", "final:middle:1:kill", "final:target:1:burn"]
        {
            assert!(wrong.parse::<Armed>().is_err(), "{wrong}");
        }
    }
}
