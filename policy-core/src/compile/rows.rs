//! All pairs and all ports, factored: for each kind of destination, which sources reach it on which ports.
//!
//! What a destination admits cuts the source kinds into a few regions; what a source may send depends on its sender.
//! A row is the product of the two. Destinations with the same cut are visited together, so that one cut at a time
//! is held and no row is stored.

use std::collections::BTreeMap;

use crate::compile::cuts::{Cut, CutKey, Cuts, GroundKey};
use crate::compile::groups::Role;
use crate::compile::kinds::{Kinds, Signatures};
use crate::compile::senders::{Senders, Sending};
use crate::compile::shares::{Shares, Weight};
use crate::compile::values::Values;
use crate::compile::{Compiled, DestinationKindId, SceneId, SourceKindId, ValueId};
use crate::ids::{Id, IdVec};
use crate::model::Family;

/// What tells the rows of one cut apart: equal rows admit the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Row {
    pub(super) role: Role,
    /// The families for which it holds.
    pub(super) families: Vec<Family>,
    pub(super) scene: SceneId,
    /// The senders that may send something else than their backdrop, among those that the cut hears.
    pub(super) sending: Sending,
}

/// Destinations that share a cut, each with the families in which they do.
pub(super) type OfCut = Vec<(DestinationKindId, Vec<Family>)>;

/// A cut before it is made; cuts with the same ground sort side by side.
pub(super) type Place = (GroundKey, Option<CutKey>);

/// Everything that rows are made of.
pub(super) struct Rows<'a> {
    destinations: &'a Kinds<DestinationKindId>,
    pub(super) values: Values,
    cuts: Cuts<'a>,
    senders: Senders<'a>,
    shares: Shares,
}

impl<'a> Rows<'a> {
    /// `weights` are those of the source kinds, by family.
    pub(super) fn new(
        compiled: &'a Compiled,
        sources: &Kinds<SourceKindId>,
        destinations: &'a Kinds<DestinationKindId>,
        [ingress, egress]: [&'a Signatures; 2],
        weights: IdVec<SourceKindId, Weight>,
    ) -> Self {
        let mut values = Values::new(compiled);
        let cuts = Cuts::new(compiled, sources, ingress);
        let senders = Senders::new(compiled, sources, egress, &mut values);
        let shares = Shares::new(weights, &senders);
        Self { destinations, values, cuts, senders, shares }
    }

    /// All destinations by cut, cuts with the same ground side by side.
    pub(super) fn by_cut(&mut self) -> Vec<(Place, OfCut)> {
        let mut by_cut: BTreeMap<Option<CutKey>, OfCut> = BTreeMap::new();
        for (id, kind) in self.destinations.kinds.iter() {
            for family in Family::ALL.into_iter().filter(|family| kind.view(*family).is_some()) {
                let of_cut = by_cut.entry(self.cuts.key(kind, family)).or_default();
                match of_cut.last_mut() {
                    Some((last, families)) if *last == id => families.push(family),
                    _ => of_cut.push((id, vec![family])),
                }
            }
        }
        let mut place = |key: Option<CutKey>| (self.cuts.ground_key(&mut self.values, key), key);
        let mut by_place: Vec<(Place, OfCut)> = by_cut.into_iter().map(|(key, of_cut)| (place(key), of_cut)).collect();
        by_place.sort_by_key(|(place, _)| *place);
        by_place
    }

    /// Makes a cut; [`Rows::of`] and [`Rows::count`] are then about destinations with this cut.
    pub(super) fn cut(&mut self, (ground, key): Place) -> Cut {
        let cut = self.cuts.cut(&mut self.values, ground, key);
        self.shares.load(&cut, &self.senders, &self.values);
        cut
    }

    /// The rows of a kind of destination in these families: one row when both families agree. Sources that do not
    /// speak the family are not told apart.
    pub(super) fn of(&mut self, destination: DestinationKindId, families: &[Family]) -> Vec<Row> {
        let kind = self.destinations.kinds.at(destination);
        let mut rows: Vec<Row> = Vec::with_capacity(families.len());
        for family in families {
            let scene = self.senders.scene(&mut self.values, kind, *family);
            let sending = self.senders.sending(&mut self.values, kind, *family, scene, self.shares.heard());
            match rows.iter_mut().find(|row| row.scene == scene && row.sending == sending) {
                Some(row) => row.families.push(*family),
                None => rows.push(Row { role: kind.role, families: vec![*family], scene, sending }),
            }
        }
        rows
    }

    /// The number of (source, protocol, port, family) that are certainly admitted, sources weighted.
    pub(super) fn count(&mut self, row: &Row) -> u128 {
        self.shares.count(&self.senders, &self.values, row)
    }

    /// The row as regions of source kinds, in order of value; kinds in no region reach nothing.
    pub(super) fn regions(&mut self, cut: &Cut, row: &Row) -> Vec<(ValueId, Vec<SourceKindId>)> {
        let mut admitted = cut.ground.admitted.clone();
        for region in &cut.regions {
            for kind in &region.kinds {
                *admitted.at_mut(*kind) = region.admitted;
            }
        }
        let mut sending = row.sending.iter().peekable();
        let mut regions: BTreeMap<ValueId, Vec<SourceKindId>> = BTreeMap::new();
        for (id, sender) in self.senders.all().iter() {
            let special = sending.next_if(|(special, _)| *special == id).map(|(_, value)| *value);
            let sent = special.unwrap_or_else(|| self.senders.backdrop(row.scene, id));
            if !sender.role.meets(row.role) || sent == self.values.nothing() {
                continue;
            }
            for kind in sender.kinds.clone().map(SourceKindId::from_index) {
                let value = self.values.intersection(sent, *admitted.at(kind));
                if value != self.values.nothing() {
                    regions.entry(value).or_default().push(kind);
                }
            }
        }
        regions.into_iter().collect()
    }
}
