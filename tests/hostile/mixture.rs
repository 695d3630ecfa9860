//! All of it at once; and a minute later, when users without a connection are forgotten too, nothing of it is left.

use std::{thread, time::Duration};

use crate::{
    attack::attack,
    ground::Ground,
    support::{
        eventually,
        figures::Figures,
        other, say,
        socket::{BINARY, PING, data_of, frame, frame_with},
    },
};

/// Users are remembered for so long after their last connection, and looked at so late at most.
const REMEMBERED: Duration = Duration::from_secs(35);

#[test]
fn a_minute_after_a_flood_nothing_is_left_of_it() {
    let ground = Ground::open();
    let before = Figures::of(ground.admin());
    let connections = 600;
    let aftermath = attack(&ground, connections, 5, |turn| {
        let bad = match turn.number % 6 {
            0 => frame_with(data_of(turn.format), true, None, b"{}"),
            1 => frame(BINARY, &[0xFF; 10]),
            2 => frame(data_of(other(turn.format)), b"{}"),
            3 => frame(data_of(turn.format), &[0; 70_000]),
            4 => frame(PING, b"still there?").repeat(100),
            _ => vec![0xFF; 100],
        };
        let mut socket = turn.connect();
        socket.ask(1, say::join(&format!("den {}", turn.number)));
        turn.provoke(&mut socket, &bad.repeat(5));
    });
    assert_eq!(aftermath.closed.values().sum::<u64>(), connections as u64);
    let closed = aftermath.closed.iter().map(|(code, many)| (format!("code=\"{code}\""), *many)).collect();
    assert_eq!(ground.settled().closed(), closed);
    // Nothing tells of it before.
    thread::sleep(2 * REMEMBERED);
    let users = |figures: &Figures| figures.get("pianorhythm_users", "");
    eventually("they are forgotten", || users(&Figures::of(ground.admin())) <= users(&before));
    let actors = |figures: &Figures| figures.get("pianorhythm_actors", "");
    eventually("and so are their actors", || actors(&Figures::of(ground.admin())) <= actors(&before));
    ground.close("mixture");
}
