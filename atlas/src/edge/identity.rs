//! Who a hello is from: tokens and names.

use aws_lc_rs::digest::{SHA256, digest};
use horizon_model::{PlayerId, Position, RegionMap, WorldId};
use horizon_protocol::client::{Hello, MAX_NAME_BYTES, RefusedReason};

/// The token of a development guest.
pub const GUEST: &str = "guest";

/// Why a hello is refused: what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Guests are switched off.
    #[error("guests are not let in here; sign in and connect with your token")]
    NoGuests,
    /// Not a token that this build knows.
    #[error("this token proves nobody; development worlds accept \"guest\"")]
    Token,
    /// Empty, too long, or with characters that cannot be shown.
    #[error("a name has 1 to 32 bytes, no control characters, and no space at either end")]
    Name,
    /// A wish that only development guests may have.
    #[error("only development guests may choose where to appear")]
    Spawn,
    /// A wish outside of the world.
    #[error("the place to appear lies outside of the map")]
    OutsideTheMap,
}

impl IdentityError {
    /// Its number in a refusal.
    pub const fn reason(self) -> RefusedReason {
        match self {
            Self::NoGuests | Self::Token => RefusedReason::Token,
            Self::Name | Self::Spawn | Self::OutsideTheMap => RefusedReason::Field,
        }
    }
}

/// Somebody the edge knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The account.
    pub player: PlayerId,
    /// Display name.
    pub name: String,
    /// Where a new player appears, if the client may choose and did.
    pub spawn: Option<Position>,
}

/// Checks name, token and wishes of a hello.
///
/// # Errors
///
/// [`IdentityError`]; authentication never fails open.
pub fn identify(
    world: WorldId,
    map: &RegionMap,
    guests: bool,
    hello: &Hello,
) -> Result<Identity, IdentityError> {
    check_name(&hello.name)?;
    if hello.token != GUEST {
        return Err(IdentityError::Token);
    }
    if !guests {
        return Err(IdentityError::NoGuests);
    }
    let spawn = match hello.spawn {
        None => None,
        Some(metres) => Some(
            Position::from_metres(metres)
                .filter(|place| map.owner_of(place).is_some())
                .ok_or(IdentityError::OutsideTheMap)?,
        ),
    };
    Ok(Identity { player: guest(world, &hello.name), name: hello.name.clone(), spawn })
}

/// The account of the guest called `name`: the first 16 bytes of SHA-256 over world, `guest` and name.
pub fn guest(world: WorldId, name: &str) -> PlayerId {
    let mut text = world.0.to_le_bytes().to_vec();
    text.extend_from_slice(GUEST.as_bytes());
    text.extend_from_slice(name.as_bytes());
    let hash = digest(&SHA256, &text);
    PlayerId(u128::from_be_bytes(hash.as_ref()[..16].try_into().expect("a hash of 32 bytes")))
}

fn check_name(name: &str) -> Result<(), IdentityError> {
    let shown = !name.chars().any(|c| c.is_control() || is_invisible(c));
    let trimmed = name.trim() == name;
    if shown && trimmed && (1..=MAX_NAME_BYTES).contains(&name.len()) {
        Ok(())
    } else {
        Err(IdentityError::Name)
    }
}

/// Characters that change how others are read without being seen: direction marks and zero widths.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use horizon_model::GridMap;

    use super::*;

    fn hello(name: &str, token: &str, spawn: Option<[f64; 3]>) -> Hello {
        Hello { version: 1, name: name.to_owned(), token: token.to_owned(), nonce: 1, resume: None, spawn }
    }

    fn ask(guests: bool, hello: &Hello) -> Result<Identity, IdentityError> {
        let grid = GridMap::new([0.0, 0.0], 200.0, 1, 1).expect("on the lattice");
        identify(WorldId(1), &RegionMap { map_epoch: 1, grid }, guests, hello)
    }

    #[test]
    fn answers() {
        use IdentityError::{Name, NoGuests, OutsideTheMap, Token};
        let long = "x".repeat(33);
        let rows: [(bool, Hello, Result<(), IdentityError>); 9] = [
            (true, hello("Ann", "guest", None), Ok(())),
            (true, hello("Ann Lee", "guest", Some([10.0, 10.0, 1.0])), Ok(())),
            (true, hello("Ann", "guest", Some([-10.0, 10.0, 1.0])), Err(OutsideTheMap)),
            (true, hello("Ann", "guest", Some([f64::NAN, 10.0, 1.0])), Err(OutsideTheMap)),
            (false, hello("Ann", "guest", None), Err(NoGuests)),
            (true, hello("Ann", "v4.public.e30", None), Err(Token)),
            (true, hello("", "guest", None), Err(Name)),
            (true, hello(&long, "guest", None), Err(Name)),
            (true, hello("A\u{202e}nn", "guest", None), Err(Name)),
        ];
        for (guests, hello, expected) in rows {
            assert_eq!(ask(guests, &hello).map(|_| ()), expected, "{hello:?}");
        }
    }

    #[test]
    fn a_name_is_an_account_of_its_world() {
        assert_eq!(guest(WorldId(1), "Ann"), guest(WorldId(1), "Ann"));
        assert_ne!(guest(WorldId(1), "Ann"), guest(WorldId(2), "Ann"));
        assert_ne!(guest(WorldId(1), "Ann"), guest(WorldId(1), "Bob"));
    }
}
