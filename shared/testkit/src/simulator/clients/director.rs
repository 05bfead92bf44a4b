//! Whoever changes a tenant's settings in the middle of the day: smallest coin, rounding of tax, whether a sale needs
//! a shift, what needs an approval, and how old a command may be.

use std::rc::Rc;
use std::time::Duration;

use tillstream_app::catalog::products::PutOutcome;
use tillstream_app::catalog::settings;
use tillstream_app::tenancy::Role;
use tillstream_contracts::settings::{SettingsBody, SettingsReply};

use super::super::world::World;
use super::{Line, Request, Stopped};
use crate::shop::caller;

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    if !owner.rules.settings_change {
        return None;
    }
    let caller = caller(&owner.id, &[Role::Operator]);
    let line = Line::of(&world, &owner.id);
    for count in 1_u64.. {
        line.rest(Duration::from_secs(240)).await;
        let stood = world.course.borrow().last(&owner.id).unwrap_or_default();
        let next = stood.changed(&world.chance, &owner.rules);
        let Ok(body) = serde_json::from_value::<SettingsBody>(next.body(&owner.rules)) else {
            world.fail("the simulator works", "settings that are none");
            return Some(Stopped);
        };
        if line.begin(|| format!("{} sets {next:?}", owner.id)).is_err() {
            return Some(Stopped);
        }
        world.course.borrow_mut().begin(&owner.id, next);
        let (sender, key) = (caller.clone(), format!("settings-{count}"));
        let request: Request<PutOutcome<SettingsReply>> = Rc::new(move |ports| {
            let (caller, body, key) = (sender.clone(), body.clone(), key.clone());
            Box::pin(async move { settings::put(&ports, &caller, body, &key, |_| Ok(())).await })
        });
        match line.send_to("PUT /v1/settings", request, |outcome| format!("{}", outcome.now.version)).await {
            Ok(_) => world.course.borrow_mut().stands(&owner.id, world.now()),
            Err(refusal) => line.expect_refusal(&refusal, &[]),
        }
    }
    None
}
