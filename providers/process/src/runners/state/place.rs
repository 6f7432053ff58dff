//! Which runner a sandbox goes to.

use wasmnode_provider_api::{Isolation, SandboxId};

use super::{Phase, RunPhase, Slot, State};
use crate::runners::names::RunnerId;

/// One part in so many of a runner's places is kept for further containers of the sandboxes that are in it already:
/// a sandbox cannot be moved while anything of it runs.
const MARGIN: u32 = 16;

impl State {
    /// A place for the sandbox, taken at once; `None`: another runner is needed. The fullest runner first, so that
    /// others get empty and end.
    pub(crate) fn take_place(
        &mut self,
        sandbox: &SandboxId,
        isolation: &Isolation,
        build: &str,
        not: Option<&RunnerId>,
    ) -> Option<RunnerId> {
        let runs = &self.runs;
        let load = |slot: &Slot| {
            let ended = |id| runs.get(id).is_some_and(|run| matches!(run.phase, RunPhase::Ended(_)));
            slot.homes.len().max(slot.runs.iter().filter(|id| !ended(id)).count())
        };
        let open = self.slots.iter().filter(|(id, slot)| slot.takes(sandbox, isolation, build) && not != Some(id));
        let with_room = open.filter_map(|(id, slot)| slot.room(load(slot)).map(|room| (room, id)));
        let (_, id) = with_room.min()?;
        let id = id.clone();
        self.slots.get_mut(&id)?.homes.insert(sandbox.clone());
        Some(id)
    }
}

impl Slot {
    fn takes(&self, sandbox: &SandboxId, isolation: &Isolation, build: &str) -> bool {
        let facts = &self.facts;
        let alone = (!isolation.paths.is_empty()).then_some(sandbox);
        self.phase == Phase::Ready
            && facts.group == isolation.group
            && facts.user == isolation.user
            && facts.build == build
            && facts.exclusive.as_ref() == alone
    }

    /// Places left under this load, if one of them may be given to a further sandbox.
    fn room(&self, load: usize) -> Option<usize> {
        let offered = self.capacity - self.capacity / MARGIN;
        (offered as usize).checked_sub(load).filter(|room| *room > 0)
    }
}
