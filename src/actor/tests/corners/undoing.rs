//! What a handler that fails has done is undone, and nothing else is.

use super::*;
use crate::actor::envelope::AskError;

#[test]
fn an_answer_given_while_a_failed_handler_is_undone_is_not_taken_for_what_it_told() {
    let mut house = house([lasting(); 3]);
    let asker = spawn::<0>(&mut house, "asker");
    spawn::<1>(&mut house, "asked");
    has::<0>(&mut house, asker, |cx| {
        let asked = does(|cx: &mut Context<'_, Probe<1>>| {
            cx.tell::<Probe<0>>(&"asker".to_owned(), Say::Note("undone")).unwrap();
            let _owed = cx.owe();
            panic!("as told");
        });
        cx.ask::<Probe<1>>(&"asked".to_owned(), asked, None, |answer| {
            assert_eq!(answer, Err(AskError::Died));
            Say::Note("it died")
        });
    });
    assert_eq!(noted(), ["asker: it died"]);
}

#[test]
fn what_a_called_actor_did_stands_where_its_caller_fails_afterwards() {
    let mut house = house([lasting(); 3]);
    let caller = spawn::<0>(&mut house, "caller");
    let called = spawn::<1>(&mut house, "called");
    spawn::<2>(&mut house, "other");
    has::<0>(&mut house, caller, move |cx| {
        let other = "other".to_owned();
        cx.tell::<Probe<2>>(&other, Say::Note("undone before")).unwrap();
        cx.call::<Probe<1>, _>(called, |_, cx| {
            cx.tell::<Probe<2>>(&"other".to_owned(), Say::Note("stands")).unwrap();
            cx.schedule(ms(5), Say::Note("scheduled"));
            cx.later(|_| note("later"));
        })
        .unwrap();
        cx.tell::<Probe<2>>(&other, Say::Note("undone after")).unwrap();
        cx.later(|_| note("never"));
        panic!("as told");
    });
    assert_eq!(noted(), ["later", "other: stands"]);
    house.pass(6);
    assert_eq!(noted(), ["called: scheduled"]);
}

#[test]
fn what_a_called_actor_posted_stands_where_its_caller_fails_afterwards() {
    let mut house = houses(2, lasting());
    let caller = spawn::<0>(&mut house, "caller");
    let called = spawn::<1>(&mut house, "called");
    let afar = (0..).map(|n| format!("k{n}")).find(|key| crate::actor::key::Key::home(key, 2) == 1).unwrap();
    has::<0>(&mut house, caller, move |cx| {
        cx.tell::<Probe<2>>(&afar, Say::Note("undone before")).unwrap();
        let there = afar.clone();
        cx.call::<Probe<1>, _>(called, move |_, cx| cx.tell::<Probe<2>>(&there, Say::Note("stands")).unwrap()).unwrap();
        cx.tell::<Probe<2>>(&afar, Say::Note("undone after")).unwrap();
        panic!("as told");
    });
    let noted = noted();
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert!(noted[0].ends_with(": stands"), "{noted:?}");
}

#[test]
fn who_asked_for_what_was_forwarded_hears_of_the_failure_and_the_message_is_taken_back() {
    for hosts in [1, 2] {
        let mut house = houses(hosts, lasting());
        let asker = spawn::<0>(&mut house, "asker");
        let asked = spawn::<1>(&mut house, "asked");
        has::<0>(&mut house, asker, move |cx| {
            let asked_to = does(move |cx: &mut Context<'_, Probe<1>>| {
                let there = (0..).map(|n| format!("k{n}"));
                let there =
                    there.into_iter().find(|key| crate::actor::key::Key::home(key, hosts) == hosts - 1).unwrap();
                cx.forward::<Probe<2>>(&there, Say::Note("forwarded")).unwrap();
                panic!("as told");
            });
            cx.ask_id::<Probe<1>>(asked, asked_to, None, |answer| {
                assert_eq!(answer, Err(AskError::Died));
                Say::Note("it died")
            });
        });
        assert_eq!(noted(), ["asker: it died"], "{hosts} hosts");
        house.pass(60_000);
        assert_eq!(noted(), [] as [&str; 0], "exactly one answer");
    }
}
