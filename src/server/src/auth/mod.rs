//! Who calls, and whether they may: the gate in front of every route.
//!
//! Authentication: a client certificate of a trusted authority, else a bearer token that TokenReview knows.
//! Authorisation: SubjectAccessReview for `nodes/<subresource>` of this node, first yes wins. Both are cached for
//! as long as the kubelet caches them, in caches that callers cannot make grow.

mod attributes;
mod cache;
mod gate;
mod identity;

use attributes::Attributes;
pub(crate) use gate::Gate;
pub(crate) use identity::Peer;
