//! The server's lobbies: how they are numbered and named, and which one somebody enters.

use crate::protocol::ids::RoomKey;

/// The key of a lobby: `lobby`, `lobby2`, `lobby3`, … Number 0 counts as 1.
pub fn lobby_key(number: u32) -> RoomKey {
    match number {
        0 | 1 => RoomKey::from_normalised("lobby"),
        _ => RoomKey::from_normalised(&format!("lobby{number}")),
    }
}

/// The name a lobby is shown by.
pub fn lobby_name(number: u32) -> String {
    match number {
        0 | 1 => "Lobby".into(),
        _ => format!("Lobby {number}"),
    }
}

/// The number of the lobby with this key. Other reserved names (`lobby0`, `lobby1`, `lobby007`) are no lobby's.
pub fn lobby_number(key: &RoomKey) -> Option<u32> {
    let digits = key.as_str().strip_prefix("lobby")?;
    if digits.is_empty() {
        return Some(1);
    }
    let number = digits.parse().ok().filter(|&number| number > 1)?;
    (lobby_key(number) == *key).then_some(number)
}

/// The lobby to enter, given each known lobby's number and free seats: the lowest with a seat, else the lowest
/// that is not there yet. A lobby that filled meanwhile is passed with no free seat.
pub fn choose_lobby(known: impl IntoIterator<Item = (u32, u32)>) -> u32 {
    let mut known: Vec<_> = known.into_iter().collect();
    known.sort_unstable();
    if let Some(&(number, _)) = known.iter().find(|&&(_, free)| free > 0) {
        return number;
    }
    known.iter().fold(1, |next, &(number, _)| if number == next { next + 1 } else { next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_lobby_with_a_seat_is_entered() {
        assert_eq!(choose_lobby([(3, 30), (1, 0), (2, 1)]), 2);
        assert_eq!(choose_lobby([(1, 1)]), 1);
    }

    #[test]
    fn where_all_are_full_the_next_one_opens() {
        assert_eq!(choose_lobby([]), 1);
        assert_eq!(choose_lobby([(2, 0), (1, 0)]), 3);
        assert_eq!(choose_lobby([(1, 0), (3, 0)]), 2);
    }

    #[test]
    fn a_lobbys_key_tells_its_number() {
        for number in 1..100 {
            assert_eq!(lobby_number(&lobby_key(number)), Some(number));
        }
        for name in ["lobby0", "lobby1", "lobby007", "lobby99999999999", "lobby+2", "lobbyist", "jazz"] {
            assert_eq!(lobby_number(&RoomKey::from_normalised(name)), None, "{name}");
        }
    }
}
