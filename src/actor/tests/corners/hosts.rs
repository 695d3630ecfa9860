//! Hosts that are not alike, and times that lie between their turns.

use std::{cell::RefCell, collections::HashSet, rc::Rc};

use super::*;
use crate::actor::{envelope::TellError, parcel::Parcel};

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
