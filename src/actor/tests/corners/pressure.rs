//! Senders that rest before a full mailbox go on, whatever becomes of that mailbox.

use super::*;
use crate::actor::{envelope::TellError, mailbox::Overflow, pool};

fn narrow() -> KindSettings {
    KindSettings { mailbox: 1, overflow: Overflow::BackPressure, ..lasting() }
}

fn sender_that_fills(house: &mut House, target: ActorId) -> ActorId {
    let sender = spawn::<0>(house, "sender");
    fill(house, sender, target);
    sender
}

fn fill(house: &mut House, sender: ActorId, target: ActorId) {
    let fills = does(move |cx: &mut Context<'_, Probe<0>>| {
        for what in ["first", "second", "third"] {
            cx.tell_id::<Probe<1>>(target, Say::Note(what)).unwrap();
        }
    });
    tell::<0>(house, sender, fills);
}

#[test]
fn a_sender_goes_on_when_the_actor_before_which_it_rests_is_stopped() {
    let mut house = house([lasting(), narrow(), lasting()]);
    let target = spawn::<1>(&mut house, "target");
    let sender = sender_that_fills(&mut house, target);
    tell::<0>(&mut house, sender, Say::Note("on"));
    house.settle();
    assert_eq!(noted().len(), 4);

    let stopper = spawn::<2>(&mut house, "stopper");
    fill(&mut house, sender, target);
    tell::<2>(&mut house, stopper, does(move |cx| cx.stop_actor(target)));
    tell::<0>(&mut house, sender, Say::Note("on again"));
    house.settle();
    assert_eq!(noted(), ["lost: first", "lost: second", "lost: third", "sender: on again"]);
}

#[test]
fn a_sender_goes_on_when_the_actor_before_which_it_rests_could_not_be_loaded() {
    let mut house = house([lasting(), KindSettings { load_limit: ms(10), ..narrow() }, lasting()]);
    let sender = spawn::<0>(&mut house, "sender");
    has::<0>(&mut house, sender, |cx| {
        for what in ["first", "second"] {
            cx.tell::<Probe<1>>(&"loading".to_owned(), Say::Note(what)).unwrap();
        }
    });
    has::<0>(&mut house, sender, |_| note("on"));
    assert_eq!(noted(), [] as [&str; 0], "it rests");
    house.pass(11);
    assert_eq!(noted(), ["lost: first", "lost: second", "on"]);
}

#[test]
fn a_sender_goes_on_when_there_is_no_actor_where_it_rests() {
    let mut house = house([lasting(), narrow(), lasting()]);
    let sender = spawn::<0>(&mut house, "sender");
    has::<0>(&mut house, sender, |cx| {
        for what in ["first", "second"] {
            cx.tell::<Probe<1>>(&"absent".to_owned(), Say::Note(what)).unwrap();
        }
    });
    has::<0>(&mut house, sender, |_| note("on"));
    assert_eq!(noted(), ["lost: first", "lost: second", "on"]);
}

#[test]
fn a_sender_goes_on_when_what_it_waits_for_goes_to_the_next_activation() {
    let mut house = house([lasting(), narrow(), lasting()]);
    let target = spawn::<1>(&mut house, "target");
    let sender = sender_that_fills(&mut house, target);
    tell::<1>(&mut house, target, does(|cx| cx.end()));
    tell::<0>(&mut house, sender, Say::Note("on"));
    house.settle();
    assert_eq!(noted(), ["sender: on", "target: first", "target: second", "target: third"]);
}

#[test]
fn a_place_that_is_given_back_by_a_failed_handler_goes_to_who_waits_beside_the_mailbox() {
    let mut house = house([lasting(), narrow(), lasting()]);
    let target = spawn::<1>(&mut house, "target");
    let caller = spawn::<0>(&mut house, "caller");
    let called = spawn::<2>(&mut house, "called");
    has::<0>(&mut house, caller, move |cx| {
        cx.tell_id::<Probe<1>>(target, Say::Note("undone")).unwrap();
        cx.call::<Probe<2>, _>(called, |_, cx| cx.tell_id::<Probe<1>>(target, Say::Note("parked")).unwrap()).unwrap();
        panic!("as told");
    });
    assert_eq!(noted(), ["target: parked"]);
    has::<2>(&mut house, called, |_| note("on"));
    assert_eq!(noted(), ["on"]);
}

#[test]
fn an_actor_does_not_rest_before_its_own_mailbox() {
    let mut house = house([narrow(); 3]);
    let id = spawn::<0>(&mut house, "own");
    has::<0>(&mut house, id, |cx| {
        cx.tell_self(Say::Note("first")).unwrap();
        assert!(matches!(cx.tell_self(Say::Note("second")), Err(TellError::Full(Say::Note("second")))));
    });
    assert_eq!(noted(), ["own: first"]);
    has::<0>(&mut house, id, |_| note("on"));
    assert_eq!(noted(), ["on"]);
}

#[test]
fn a_sender_goes_on_when_a_pool_lets_go_of_the_member_before_which_it_rests() {
    let mut house = house([lasting(), narrow(), lasting()]);
    pool::grow::<Probe<1>>(house.host(), Probe);
    let last = pool::grow::<Probe<1>>(house.host(), Probe);
    let sender = sender_that_fills(&mut house, last);
    let shrinker = spawn::<2>(&mut house, "shrinker");
    tell::<2>(&mut house, shrinker, does(|cx| cx.later(|world| assert!(pool::shrink::<Probe<1>>(world, None)))));
    tell::<0>(&mut house, sender, Say::Note("on"));
    house.settle();
    let mut noted = noted();
    noted.retain(|line| !line.ends_with("started") && !line.ends_with("ends"));
    let told = ["first", "second", "third"].map(|what| format!("telling anonymous: {what}"));
    assert_eq!(noted[0], "sender: on");
    assert_eq!(noted[1..], told);
}
