//! Kinds: groups that are alike as sources, or alike as destinations.

use rustc_hash::FxHashMap;

use crate::compile::atoms::AddressClass;
use crate::compile::groups::{Group, GroupId, Role};
use crate::compile::interner::Interner;
use crate::compile::{
    AddressClassId, BlockId, CellId, ClassId, ClassSetId, Compiled, PeersId, PortTableId, ProfileId, ViewId,
};
use crate::ids::{Id, IdVec};
use crate::model::{Direction, Family};

/// What the peer lists of one direction can tell apart.
#[derive(Debug)]
pub(super) struct Signatures {
    cell_of: IdVec<ClassId, CellId>,
    cell_count: usize,
    /// The cells that each used class set is made of, each once.
    cells: FxHashMap<ClassSetId, Vec<CellId>>,
    view_of: FxHashMap<AddressClassId, ViewId>,
    views: IdVec<ViewId, AddressClass>,
}

impl Signatures {
    /// For the peer lists that rules of `direction` use.
    pub(super) fn new(compiled: &Compiled, direction: Direction, groups: &IdVec<GroupId, Group>) -> Self {
        let profiles = compiled.table.profiles(direction).values();
        let terms = profiles.flat_map(|profile| compiled.table.terms_of(profile));
        let mut used: Vec<PeersId> = terms.map(|term| term.peers).collect();
        used.sort_unstable();
        used.dedup();
        let peers = || used.iter().map(|peers| compiled.table.peers.at(*peers)).filter(|peers| !peers.any);
        let mut sets: Vec<ClassSetId> = peers().map(|peers| peers.classes).collect();
        sets.sort_unstable();
        sets.dedup();
        let (cell_of, cell_count) = refine(compiled, &sets);
        let mut seen_for: IdVec<CellId, Option<ClassSetId>> = (0..cell_count).map(|_| None).collect();
        let cells_of = |set: &ClassSetId| {
            let cells = compiled.table.sets.at(*set).iter().map(|class| *cell_of.at(class));
            let fresh = |cell: &CellId| seen_for.at_mut(*cell).replace(*set) != Some(*set);
            (*set, cells.filter(fresh).collect())
        };
        let cells = sets.iter().map(cells_of).collect();

        let mut blocks: Vec<BlockId> = peers().flat_map(|peers| peers.blocks.iter().copied()).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let mut views: Interner<ViewId, AddressClass> = Interner::default();
        let mut view_of = FxHashMap::default();
        for column in groups.values().flat_map(|group| group.columns.into_iter().flatten()) {
            view_of.entry(column.address).or_insert_with(|| {
                let used = |block: BlockId| blocks.binary_search(&block).is_ok();
                views.intern(compiled.atoms.class(column.address).filtered(used))
            });
        }
        Self { cell_of, cell_count, cells, view_of, views: views.into_keys() }
    }

    /// The cells that make up a class set.
    pub(super) fn cells(&self, set: ClassSetId) -> &[CellId] {
        self.cells.get(&set).map(Vec::as_slice).unwrap_or_default()
    }

    /// All cells.
    pub(super) fn all_cells(&self) -> impl Iterator<Item = CellId> + use<> {
        (0..self.cell_count).map(CellId::from_index)
    }

    pub(super) fn view(&self, id: ViewId) -> &AddressClass {
        self.views.at(id)
    }
}

/// Splits the classes into cells, so that each set is a union of cells: partition refinement, linear in the sets.
/// Also tells how many cells there are.
fn refine(compiled: &Compiled, sets: &[ClassSetId]) -> (IdVec<ClassId, CellId>, usize) {
    let count = compiled.classes.len();
    let mut cell_of: Vec<usize> = vec![0; count];
    let mut sizes: Vec<usize> = vec![count];
    let mut inside: Vec<usize> = vec![0];
    let mut split_to: Vec<usize> = vec![usize::MAX];
    for set in sets {
        let set = compiled.table.sets.at(*set);
        let mut touched: Vec<usize> = Vec::new();
        for class in set.iter() {
            let Some(cell) = cell_of.get(class.index()).copied() else { continue };
            if let Some(inside) = inside.get_mut(cell) {
                if *inside == 0 {
                    touched.push(cell);
                }
                *inside += 1;
            }
        }
        touched.retain(|cell| {
            inside.get(*cell) < sizes.get(*cell) || {
                if let Some(inside) = inside.get_mut(*cell) {
                    *inside = 0;
                }
                false
            }
        });
        if touched.is_empty() {
            continue;
        }
        for cell in &touched {
            let moved = inside.get_mut(*cell).map(std::mem::take).unwrap_or_default();
            if let Some(size) = sizes.get_mut(*cell) {
                *size -= moved;
            }
            if let Some(target) = split_to.get_mut(*cell) {
                *target = sizes.len();
            }
            sizes.push(moved);
            inside.push(0);
            split_to.push(usize::MAX);
        }
        for class in set.iter() {
            let Some(cell) = cell_of.get_mut(class.index()) else { continue };
            match split_to.get(*cell) {
                Some(target) if *target != usize::MAX => *cell = *target,
                _ => {}
            }
        }
        for cell in touched {
            if let Some(target) = split_to.get_mut(cell) {
                *target = usize::MAX;
            }
        }
    }
    (cell_of.into_iter().map(CellId::from_index).collect(), sizes.len())
}

/// What makes an end one kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Kind {
    pub(super) role: Role,
    /// The profile in its own direction; `None` for what policies do not act on.
    pub(super) profile: Option<ProfileId>,
    /// The table on which port names are looked up, of destinations.
    pub(super) table: Option<PortTableId>,
    /// The cell of its class among the peer lists of the other side.
    pub(super) cell: Option<CellId>,
    views: [Option<ViewId>; 2],
}

impl Kind {
    /// What blocks of the other side know of its address; `None` when it does not speak the family.
    pub(super) fn view(&self, family: Family) -> Option<ViewId> {
        let [v4, v6] = self.views;
        match family {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}

/// The kinds of one side, and the groups of each.
#[derive(Debug)]
pub(super) struct Kinds<I> {
    pub(super) kinds: IdVec<I, Kind>,
    pub(super) groups: IdVec<I, Vec<GroupId>>,
}

impl<I: Id> Kinds<I> {
    /// Sorts groups into kinds. `own` is the direction of the groups' own policies, `others` the peer lists of the
    /// other side.
    pub(super) fn new(
        compiled: &Compiled,
        groups: &IdVec<GroupId, Group>,
        own: Direction,
        others: &Signatures,
    ) -> Self {
        let mut kinds: Interner<I, Kind> = Interner::default();
        let mut members: IdVec<I, Vec<GroupId>> = IdVec::new();
        for (id, group) in groups.iter() {
            let class = group.class();
            let view = |column: crate::compile::table::Column| others.view_of.get(&column.address).copied();
            let kind = kinds.intern(Kind {
                role: group.role,
                profile: class.map(|class| compiled.table.profile_of(class, own)),
                table: class.filter(|_| own == Direction::Ingress).map(|class| compiled.classes.at(class).ports),
                cell: class.map(|class| *others.cell_of.at(class)),
                views: group.columns.map(|column| column.and_then(view)),
            });
            if members.get(kind).is_none() {
                members.push(Vec::new());
            }
            members.at_mut(kind).push(id);
        }
        // Those of one profile side by side: what depends on the profile is then done for a run of kinds.
        let kinds = kinds.into_keys();
        let mut order: Vec<I> = kinds.ids().collect();
        order.sort_by_key(|kind| (kinds.at(*kind).profile, kinds.at(*kind).role, *kind));
        let groups = order.iter().map(|kind| std::mem::take(members.at_mut(*kind))).collect();
        Self { kinds: order.into_iter().map(|kind| *kinds.at(kind)).collect(), groups }
    }
}
