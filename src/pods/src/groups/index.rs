//! Which groups and pods are on disk. Nothing here touches one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::Group;

/// Where a pod's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) group: Group,
    /// Whom its files belong to; none: the agent's own user.
    pub(crate) user: Option<u32>,
    /// It was decided that the pod belongs there. Otherwise it is where a release left it that knew one group only.
    pub(crate) settled: bool,
}

/// Every user id has a group already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("all {count} user ids of groupUsers, from {first}, are in use by other isolation groups")]
pub(crate) struct NoUser {
    first: u32,
    count: usize,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    groups: BTreeMap<Group, Known>,
    pods: HashMap<String, Place>,
    /// Directories of pods that have another one, which is the one in use.
    doubles: HashMap<String, Vec<Group>>,
    /// Groups without pods: their directories may be removed.
    empty: BTreeSet<Group>,
}

#[derive(Debug, Default)]
struct Known {
    user: Option<u32>,
    pods: usize,
}

// === impl Index ===

impl Index {
    /// A group whose directory was found, with the user that it records.
    pub(super) fn found_group(&mut self, group: &Group, user: Option<u32>) {
        let known = self.groups.entry(group.clone()).or_default();
        known.user = known.user.or(user);
        if known.pods == 0 {
            self.empty.insert(group.clone());
        }
    }

    /// A pod's directory that was found. The group of the directory that is not used, where there are two of the pod.
    pub(super) fn found_pod(&mut self, uid: &str, place: Place) -> Option<Group> {
        let Some(known) = self.pods.get(uid).cloned() else {
            self.insert(uid, place);
            return None;
        };
        let unused = if place.settled && !known.settled {
            self.remove(uid);
            self.insert(uid, place);
            known.group
        } else {
            place.group
        };
        self.doubles.entry(uid.to_owned()).or_default().push(unused.clone());
        Some(unused)
    }

    pub(super) fn pod(&self, uid: &str) -> Option<&Place> {
        self.pods.get(uid)
    }

    /// Groups besides its own in which the pod has a directory.
    pub(super) fn doubles(&self, uid: &str) -> Vec<Group> {
        self.doubles.get(uid).cloned().unwrap_or_default()
    }

    /// The user of that group, which gets the first free one of `users` if it has none.
    pub(super) fn user(&mut self, group: &Group, users: Option<&Range<u32>>) -> Result<Option<u32>, NoUser> {
        let known = self.groups.get(group).and_then(|known| known.user);
        let (None, Some(users)) = (known, users) else { return Ok(known) };
        let taken: BTreeSet<u32> = self.groups.values().filter_map(|known| known.user).collect();
        let free = users.clone().find(|user| !taken.contains(user));
        let user = free.ok_or_else(|| NoUser { first: users.start, count: users.len() })?;
        self.found_group(group, Some(user));
        Ok(Some(user))
    }

    /// The pod is there from now on.
    pub(super) fn insert(&mut self, uid: &str, place: Place) {
        self.remove(uid);
        self.empty.remove(&place.group);
        self.groups.entry(place.group.clone()).or_default().pods += 1;
        self.pods.insert(uid.to_owned(), place);
    }

    /// Nothing of the pod is left in its group.
    pub(super) fn remove(&mut self, uid: &str) {
        let Some(place) = self.pods.remove(uid) else { return };
        let Some(known) = self.groups.get_mut(&place.group) else { return };
        known.pods = known.pods.saturating_sub(1);
        if known.pods == 0 {
            self.empty.insert(place.group);
        }
    }

    /// Nothing of the pod is left in any group.
    pub(super) fn forget(&mut self, uid: &str) {
        self.remove(uid);
        self.doubles.remove(uid);
    }

    pub(super) fn empty(&self) -> Vec<Group> {
        self.empty.iter().cloned().collect()
    }

    pub(super) fn is_empty(&self, group: &Group) -> bool {
        self.empty.contains(group)
    }

    /// Nothing of the group is left: its user may be another one's.
    pub(super) fn remove_group(&mut self, group: &Group) {
        if self.empty.remove(group) {
            self.groups.remove(group);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn group(name: &str) -> Group {
        Group::named(name.to_owned())
    }

    fn place(name: &str, settled: bool) -> Place {
        Place { group: group(name), user: None, settled }
    }

    #[test]
    fn each_group_has_the_first_free_user() {
        let mut index = Index::default();
        index.found_group(&group("b"), Some(101));
        let users = 100..103;
        let mut user = |name| index.user(&group(name), Some(&users));
        assert_eq!((user("a"), user("b"), user("a")), (Ok(Some(100)), Ok(Some(101)), Ok(Some(100))));
        assert_eq!(user("c"), Ok(Some(102)));
        let text = "all 3 user ids of groupUsers, from 100, are in use by other isolation groups";
        assert_eq!(user("d").unwrap_err().to_string(), text);
        index.remove_group(&group("b"));
        assert_eq!(index.user(&group("d"), Some(&users)), Ok(Some(101)), "free again");
        assert_eq!(index.user(&group("e"), None), Ok(None));
        assert_eq!(index.user(&group("a"), None), Ok(Some(100)), "what was recorded stays");
    }

    #[test]
    fn a_group_is_empty_without_pods() {
        let mut index = Index::default();
        index.insert("u", place("a", true));
        index.insert("v", place("a", true));
        index.remove_group(&group("a"));
        index.forget("u");
        assert_eq!(index.empty(), []);
        index.forget("v");
        assert_eq!(index.empty(), [group("a")]);
        index.insert("w", place("a", true));
        assert_eq!(index.empty(), []);
        index.insert("w", place("b", true));
        assert_eq!(index.empty(), [group("a")], "moved");
    }

    #[test]
    fn of_two_directories_the_settled_one_counts() {
        for (first, second, unused) in
            [(true, false, "second"), (false, true, "first"), (true, true, "second"), (false, false, "second")]
        {
            let mut index = Index::default();
            assert_eq!(index.found_pod("u", place("first", first)), None);
            assert_eq!(index.found_pod("u", place("second", second)), Some(group(unused)));
            assert_eq!(index.doubles("u"), [group(unused)]);
            assert_ne!(index.pod("u").unwrap().group, group(unused));
            index.forget("u");
            assert_eq!((index.pod("u"), index.doubles("u")), (None, Vec::new()));
        }
    }
}
