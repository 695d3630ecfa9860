//! Topics: what is published reaches whoever has subscribed, on every host.

use super::kit::*;
use crate::actor::{
    actor::KindSettings,
    kind_figures::DeadReason,
    topic::{self, Topic},
    world::World as _,
};

struct Weather;

impl Topic for Weather {
    type Event = u32;
}

fn subscribe<const N: usize>() -> Line<N> {
    act("subscribe", |_: &mut Puppet<N>, cx| cx.subscribe::<News>(|event| say(event.clone())))
}

fn publish<const N: usize>(text: &'static str) -> Line<N> {
    act("publish", move |_: &mut Puppet<N>, cx| cx.publish::<News>(text.into()))
}

#[test]
fn events_reach_subscribers_of_every_host_in_order() {
    let mut house = House::of(3, calm());
    let keys: Vec<_> = (0..3).map(|host| house.key_on(host, "a")).collect();
    let other = house.key_on(1, "b");
    for key in &keys {
        house.play(key, subscribe::<ADA>());
    }
    house.play(&other, subscribe::<BOB>());
    let c = house.key_on(0, "c");
    diary();
    for text in ["one", "two", "three"] {
        house.play(&c, publish::<CYD>(text));
    }
    let told = diary();
    for name in keys.iter().chain([&other]) {
        let own: Vec<_> = told.iter().filter(|line| line.starts_with(&format!("{name}: "))).collect();
        assert_eq!(own, ["one", "two", "three"].map(|text| format!("{name}: {text}")).iter().collect::<Vec<_>>());
    }
    assert_eq!(told.len(), 3 + 12);
}

#[test]
fn topics_are_apart() {
    let mut house = House::of(1, calm());
    house.play(
        "a",
        act("subscribe", |_: &mut Ada, cx| {
            cx.subscribe::<News>(|event| say(format!("news {event}")));
            cx.subscribe::<Weather>(|event| say(format!("weather {event}")));
        }),
    );
    house.play("b", act("publish", |_: &mut Bob, cx| cx.publish::<Weather>(7)));
    house.play("b", act("leave", |_: &mut Bob, cx| cx.unsubscribe::<Weather>()));
    house.play("a", act("leave", |_: &mut Ada, cx| cx.unsubscribe::<News>()));
    topic::publish::<News, _>(house.host(), "unheard".into());
    topic::publish::<Weather, _>(house.host(), 8);
    house.settle();
    let told = diary();
    assert_eq!(told, ["a: subscribe", "b: publish", "a: weather 7", "b: leave", "a: leave", "a: weather 8"]);
}

#[test]
fn a_second_subscription_replaces_the_first() {
    let mut house = House::of(1, calm());
    house.play("a", subscribe::<ADA>());
    house.play("a", act("subscribe", |_: &mut Ada, cx| cx.subscribe::<News>(|event| say(format!("second {event}")))));
    house.play("b", publish::<BOB>("news"));
    assert_eq!(diary()[2..], ["b: publish", "a: second news"]);
    house.play("a", act("leave", |_: &mut Ada, cx| cx.unsubscribe::<News>()));
    assert_eq!(house.hosts[0].core().topics.len(), 0);
}

#[test]
fn a_subscription_ends_with_its_actor_and_the_next_has_none() {
    for publishes in [true, false] {
        let mut house = House::of(2, calm());
        let (a, b) = (house.key_on(1, "a"), house.key_on(0, "b"));
        house.play(&a, subscribe::<ADA>());
        house.play(&a, end::<ADA>());
        assert_eq!(house.hosts[1].core().topics.len(), 0, "nothing is kept of it");
        house.play(&a, say::<ADA>("the next"));
        diary();
        if publishes {
            house.play(&b, publish::<BOB>("unheard"));
            assert_eq!(diary(), [format!("{b}: publish")]);
        }
    }
}

#[test]
fn a_subscription_goes_on_in_place_and_not_afresh() {
    use crate::actor::actor::Recovery;
    for recovery in [Recovery::InPlace, Recovery::Fresh] {
        let mut house = House::each(1, [KindSettings { recovery, ..calm() }, calm(), calm()]);
        house.play("a", subscribe::<ADA>());
        house.play("a", fail::<ADA>("fails"));
        house.play("b", publish::<BOB>("news"));
        let heard = diary().contains(&"a: news".to_owned());
        assert_eq!(heard, recovery == Recovery::InPlace);
    }
}

#[test]
fn events_name_nobody_as_sender_and_a_full_mailbox_loses_them_audibly() {
    let mut house = House::each(1, [KindSettings { mailbox: 2, ..calm() }, calm(), calm()]);
    house.play(
        "a",
        act("subscribe", |_: &mut Ada, cx| {
            cx.subscribe::<News>(|event| {
                act(event.clone(), |_: &mut Ada, cx| {
                    assert_eq!((cx.sender(), cx.is_asked()), (None, false));
                })
            });
        }),
    );
    house.play(
        "b",
        act("publish", |_: &mut Bob, cx| {
            for text in ["one", "two", "three"] {
                cx.publish::<News>(text.into());
            }
        }),
    );
    assert_eq!(diary()[1..], ["b: publish", "dead: three, mailbox_full", "a: one", "a: two"]);
    assert_eq!(house.dead::<ADA>(0, DeadReason::MailboxFull), 1);
    assert_eq!(house.figures::<ADA>(0).panics.get(), 0);
}

#[test]
fn a_publisher_hears_itself_where_it_has_subscribed() {
    let mut house = House::of(2, calm());
    let a = house.key_on(0, "a");
    house.play(&a, subscribe::<ADA>());
    house.play(&a, publish::<ADA>("news"));
    assert_eq!(diary(), ["subscribe", "publish", "news"].map(|line| format!("{a}: {line}")));
}

#[test]
fn an_event_without_subscribers_leaves_nothing() {
    let mut house = House::of(2, calm());
    topic::publish::<Weather, _>(house.host(), 1);
    house.settle();
    assert!(house.hosts.iter_mut().all(|host| host.core().topics.is_empty()));
    assert!(diary().is_empty());
}
