//! Putting messages aside.

use super::*;

/// Puts its question aside until told otherwise; then it is answered.
fn aside(text: &'static str) -> Line<ADA> {
    act(format!("aside {text}"), move |_: &mut Ada, cx| cx.stash(say(text)))
}

fn back() -> Line<ADA> {
    act("back", |_: &mut Ada, cx| cx.unstash_all())
}

#[test]
fn what_is_put_aside_comes_back_in_order_before_what_waits_with_its_askers() {
    let mut house = House::of(1, in_place());
    let asked: Vec<_> = ["one", "two"].map(|text| house.ask("a", aside(text))).into();
    house.settle();
    assert_eq!((asked[0].answer(), house.figures::<ADA>(0).pending.get()), (None, 0));
    house.tell("a", back());
    house.tell("a", say::<ADA>("three"));
    house.settle();
    assert_eq!(diary(), ["a: aside one", "a: aside two", "a: back", "a: one", "a: two", "a: three"]);
    assert_eq!([asked[0].answer(), asked[1].answer()], [Some(Ok("one".into())), Some(Ok("two".into()))]);
    house.play("a", back());
    assert_eq!(diary(), ["a: back"], "once");
}

#[test]
fn what_is_put_aside_is_kept_over_an_unstash_that_fails() {
    let mut house = House::of(1, in_place());
    let asked = house.ask("a", aside("one"));
    house.tell("a", aside("two"));
    house.play(
        "a",
        act("fails", |_: &mut Ada, cx| {
            cx.unstash_all();
            panic!("as told");
        }),
    );
    assert_eq!(
        (asked.answer(), diary()),
        (None, ["a: aside one", "a: aside two", "a: fails"].map(str::to_owned).to_vec())
    );
    house.play("a", back());
    assert_eq!(diary(), ["a: back", "a: one", "a: two"]);
    assert_eq!(asked.answer(), Some(Ok("one".into())));
}

#[test]
fn what_is_put_aside_is_handled_by_a_fresh_value_before_what_waits() {
    let mut house = House::of(1, fresh());
    let asked = house.ask("a", aside("one"));
    house.tell("a", aside("two"));
    house.tell("a", fail::<ADA>("fails"));
    house.tell("a", say::<ADA>("three"));
    house.settle();
    assert_eq!(diary(), ["a: aside one", "a: aside two", "a: fails", "a: one", "a: two", "a: three"]);
    assert_eq!(asked.answer(), Some(Ok("one".into())));
}

#[test]
fn a_message_that_is_put_aside_by_a_handler_that_fails_is_answered_with_that() {
    let mut house = House::of(1, in_place());
    let line = act("fails", |_: &mut Ada, cx| {
        cx.stash(say("never"));
        panic!("as told");
    });
    assert_eq!(house.answer("a", line), Err(AskError::Died));
    let line = attempt("errs", |_: &mut Ada, cx| {
        cx.stash(say("never"));
        Err(Failure::Error("no".into()))
    });
    assert_eq!(house.answer("a", line), Err(AskError::Handler("no".into())));
    house.play("a", back());
    assert_eq!(diary(), ["a: fails", "a: errs", "a: back"]);
}

#[test]
fn as_many_as_a_mailbox_holds_can_be_put_aside() {
    let mut house = House::of(1, KindSettings { mailbox: 2, ..in_place() });
    let asked: Vec<_> = ["one", "two", "three"]
        .map(|text| {
            let asked = house.ask("a", aside(text));
            house.settle();
            asked
        })
        .into();
    house.play("a", aside("four"));
    assert_eq!((asked[0].answer(), asked[1].answer()), (None, None));
    assert_eq!(asked[2].answer(), Some(Err(AskError::MailboxFull)));
    assert_eq!(diary().last().unwrap(), "dead: four, mailbox_full");
    assert_eq!(house.dead::<ADA>(0, DeadReason::MailboxFull), 2);
    house.play("a", back());
    assert_eq!(diary(), ["a: back", "a: one", "a: two"]);
}

#[test]
fn an_answer_can_be_put_aside_and_is_given_to_nobody_else() {
    let mut house = House::of(1, in_place());
    house.play(
        "a",
        act("ask", |_: &mut Ada, cx| {
            cx.ask::<Bob>(&k("b"), say("x"), None, |_| act("answer", |_: &mut Ada, cx| cx.stash(say("answer again"))));
        }),
    );
    house.play("a", end::<ADA>());
    house.play("a", say::<ADA>("the next"));
    let expected = ["a: ask", "b: x", "a: answer", "a: end", "dead: answer again, stopped", "a: the next"];
    assert_eq!(diary(), expected);
}
