//! Asking all of a kind, or whichever of a pool.

use super::*;

#[test]
fn a_member_of_a_pool_is_asked() {
    let mut house = House::of(2, calm());
    for n in 0..2 {
        pool::grow::<Bob>(house.host(), Puppet::new(format!("b{n}")));
    }
    for host in [0, 1] {
        let a = house.key_on(host, "a");
        house.play(
            &a,
            act("ask", |_, cx: &mut Context<'_, Ada>| {
                cx.ask_pool::<Bob>(Route::Member(1), say("hello"), None, answered);
                cx.ask_pool::<Bob>(Route::Member(2), say("nobody"), None, answered);
            }),
        );
        let mut lines = diary();
        lines.sort();
        let mut expected =
            vec![format!("{a}: Stopped"), format!("{a}: ask"), format!("{a}: hello"), "b1: hello".into()];
        expected.sort();
        assert_eq!(lines, expected);
    }
    let remote = house.remote.clone();
    let answer = house.run(remote.ask_pool::<Bob>(Route::Member(0), say("outside"), ms(10_000)));
    assert_eq!(answer, Ok("outside".into()));
    let answer = house.run(remote.ask_pool::<Bob>(Route::Member(7), say("outside"), ms(10_000)));
    assert_eq!(answer, Err(AskError::Stopped));
}

#[test]
fn a_broadcast_reaches_every_actor_of_a_kind_and_gathers_the_replies_in_order() {
    let mut house = House::each(2, [calm(), KindSettings { mailbox: 1, ..calm() }, calm()]);
    let mut keys = Vec::new();
    for n in 0..6 {
        let key = house.key_on(n % 2, &format!("b{n}-"));
        house.spawn::<BOB>(&key);
        keys.push(key);
    }
    diary();
    let (full, dying) = (keys[2].clone(), keys[3].clone());
    house.tell(&full, say::<BOB>("fills it"));
    let remote = house.remote.clone();
    let make = move |key: &String| {
        if *key == dying { fail("die") } else { say(format!("hello {key}")) }
    };
    let answers = house.run(remote.broadcast::<Bob>(make, ms(10_000)));
    let expected: Vec<(String, Answer<String, String>)> = [0, 2, 4, 1, 3, 5]
        .map(|n| {
            let answer = match n {
                2 => Err(AskError::MailboxFull),
                3 => Err(AskError::Died),
                _ => Ok(format!("hello {}", keys[n])),
            };
            (keys[n].clone(), answer)
        })
        .into();
    assert_eq!(answers, expected);
}

#[test]
fn a_broadcast_does_not_wait_for_who_does_not_answer() {
    let mut house = House::of(1, calm());
    for key in ["a", "b", "c"] {
        house.spawn::<BOB>(key);
    }
    let remote = house.remote.clone();
    let make = |key: &String| {
        if key == "b" { owe::<BOB>() } else { say("here") }
    };
    let answers: Vec<_> =
        house.run(remote.broadcast::<Bob>(make, ms(200))).into_iter().map(|(_, answer)| answer).collect();
    assert_eq!(answers, [Ok("here".into()), Err(AskError::TimedOut), Ok("here".into())]);
}
