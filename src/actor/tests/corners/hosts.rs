//! Hosts that are not alike, and times that lie between their turns.

use super::*;
use crate::actor::{envelope::TellError, mesh::Lane, parcel::Parcel, sending};

#[test]
fn a_parcel_is_taken_in_at_the_time_at_which_it_is() {
    let mut house = house([lasting(); 3]);
    turn(&mut house);
    house.clock.advance(ms(500));
    let make = |world: &mut System| {
        let id = life::spawn_here::<Probe<0>>(world, "late".to_owned(), Probe).unwrap();
        let scheduled = crate::actor::handling::call::<Probe<0>, _>(world, id, |_, cx| {
            cx.schedule(ms(100), Say::Note("in time"));
        });
        scheduled.unwrap();
    };
    core::take(&mut house.hosts[0], Parcel::new(make));
    house.settle();
    house.pass(99);
    assert_eq!(noted(), [] as [&str; 0]);
    house.pass(1);
    assert_eq!(noted(), ["late: in time"]);
}

#[test]
fn a_kind_is_reached_from_hosts_that_do_not_have_it() {
    let place = |registry: &mut Registry| {
        registry.place::<Probe<0>>([0]).place::<Probe<1>>([1]);
    };
    let mut house = House::new(2, place, |system, host| {
        if host == 0 {
            system.add::<Probe<0>>(lasting());
        } else {
            system.add::<Probe<1>>(lasting());
        }
    });
    let here = spawn::<0>(&mut house, "here");
    has::<0>(&mut house, here, |cx| {
        cx.tell::<Probe<1>>(&"there".to_owned(), Say::Note("told")).unwrap();
        cx.ask::<Probe<1>>(&"there".to_owned(), Say::Note("asked"), None, |answer| Say::Note(answer.unwrap()));
        let nowhere = cx.tell::<Probe<2>>(&"nowhere".to_owned(), Say::Note("lost"));
        assert!(matches!(nowhere, Err(TellError::Stopped(Say::Note("lost")))));
    });
    assert_eq!(noted(), ["there: told", "there: asked", "here: asked"]);
}

#[test]
fn a_world_tells_whom_a_host_has_under_a_key_wherever_that_key_is_at_home() {
    let mut house = houses(3, lasting());
    for key in ["one", "two", "three", "four"] {
        for from in 0..3 {
            for at in 0..3 {
                let tells = does(|cx| note(format!("{} on {}", name(cx), cx.id().host)));
                sending::tell_at::<Probe<0>, _>(house.at(from), at, &key.to_owned(), tells).unwrap();
            }
            house.settle();
            let mut noted = noted();
            noted.sort();
            assert_eq!(noted, [0, 1, 2].map(|at| format!("{key} on {at}")));
        }
    }
}

#[test]
fn a_world_sends_parcels_in_order_and_in_places_that_it_has_reserved() {
    let mut house = houses(2, lasting());
    let parcel =
        |what: &'static str| Parcel::new(move |world: &mut System| note(format!("{what} on {}", world.core().host())));
    house.at(0).core().send_to(1, Lane::Data, parcel("first"));
    house.at(0).core().send_to(1, Lane::Data, parcel("second"));
    house.settle();
    assert_eq!(noted(), ["first on 1", "second on 1"]);
    let slots: Vec<_> = std::iter::from_fn(|| house.hosts[0].core().reserve(1)).collect();
    assert_eq!(slots.len(), 16);
    slots.into_iter().next().unwrap().send(parcel("handed")).unwrap();
    house.settle();
    assert_eq!(noted(), ["handed on 1"]);
}

#[test]
fn the_kind_that_runs_is_told_by_its_own_name_in_whichever_order_kinds_were_placed() {
    let place = |registry: &mut Registry| {
        registry.place::<Probe<2>>([0]).place::<Probe<1>>([0]).place::<Probe<0>>([0]);
    };
    let mut house = House::new(1, place, |system, _| add(system, [lasting(); 3]));
    let actor = spawn::<0>(&mut house, "actor");
    let (clock, remote) = (house.clock.clone(), house.remote.clone());
    has::<0>(&mut house, actor, move |_| {
        clock.advance(ms(1500));
        let stuck = crate::actor::report::stuck(&remote);
        assert_eq!(stuck, ["zero/actor on host-0 for 1.5s"]);
        note("seen");
    });
    assert_eq!(noted(), ["seen"]);
}

#[test]
fn a_kind_that_is_placed_on_a_host_and_was_not_added_there_has_no_actors() {
    let place = |registry: &mut Registry| {
        registry.place::<Probe<0>>([0]).place::<Probe<1>>([0]);
    };
    let mut house = House::new(1, place, |system, _| {
        system.add::<Probe<0>>(lasting());
    });
    let actor = spawn::<0>(&mut house, "actor");
    has::<0>(&mut house, actor, |cx| {
        let told = cx.tell::<Probe<1>>(&"nobody".to_owned(), Say::Note("lost"));
        assert!(matches!(told, Err(TellError::Stopped(Say::Note("lost")))));
        note("refused");
    });
    assert_eq!(noted(), ["refused"]);
}
