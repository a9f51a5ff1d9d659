//! How points lie in memory.

/// Points in a block: as many as the widest vector holds.
pub(in super::super) const LANES: usize = 16;

/// Blocks in a page.
const BLOCKS: usize = 12;

/// Bytes after which addresses look alike to a processor: it compares the low twelve bits of what it
/// reads with those of what it has not written yet, and on a match reading waits.
pub(in super::super) const PAGE: usize = size_of::<Page>();

/// Bytes from the beginning of a page to the part that points leave free. Hits are written at such
/// addresses, so that reading points does not wait for them, which is a tenth of the time of a query. 256
/// hits fit; those beyond merely cost the tenth.
pub(in super::super) const FREE: usize = BLOCKS * size_of::<Block>();

const _: () = assert!(size_of::<Block>() == 256 && PAGE == 4096 && FREE == 3072, "nothing but lanes");

/// Sixteen neighbours. The x of a lane without a point is not a number, so it is never hit.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block {
    pub(super) xs: [f32; LANES],
    pub(super) ys: [f32; LANES],
    pub(super) zs: [f32; LANES],
    pub(super) slots: [u32; LANES],
}

impl Block {
    const EMPTY: Self =
        Self { xs: [f32::NAN; LANES], ys: [f32::NAN; LANES], zs: [f32::NAN; LANES], slots: [0; LANES] };

    /// Copies the points of up to sixteen slots into the first lanes and empties the others.
    #[inline(always)]
    pub(super) fn fill(&mut self, slots: &[u32], xs: &[f32], ys: &[f32], zs: &[f32]) {
        for (lane, &slot) in slots.iter().enumerate().take(LANES) {
            self.slots[lane] = slot;
            self.xs[lane] = xs[slot as usize];
            self.ys[lane] = ys[slot as usize];
            self.zs[lane] = zs[slot as usize];
        }
        self.xs[slots.len()..].fill(f32::NAN);
    }
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(4096))]
struct Page([Block; BLOCKS]);

/// Blocks by number, a dozen in a page.
#[derive(Debug, Default)]
pub(super) struct Blocks(Vec<Page>);

impl Blocks {
    /// Makes room for this many.
    pub(super) fn reserve(&mut self, blocks: usize) {
        let pages = blocks.div_ceil(BLOCKS);
        if self.0.len() < pages {
            self.0.resize(pages, Page([Block::EMPTY; BLOCKS]));
        }
    }

    /// The block with this number.
    ///
    /// # Safety
    ///
    /// There is room for it.
    #[inline(always)]
    pub(super) unsafe fn block(&self, number: u32) -> &Block {
        let number = number as usize;
        debug_assert!(number / BLOCKS < self.0.len(), "block {number}");
        let bytes = number * size_of::<Block>() + number / BLOCKS * (PAGE - FREE);
        // SAFETY: the caller promises that its page is there; a page is its blocks and what they leave
        // free. Indexing twice instead costs two nanoseconds a query.
        unsafe { &*self.0.as_ptr().byte_add(bytes).cast::<Block>() }
    }

    /// All that there is room for, by number.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        self.0.iter_mut().flat_map(|page| &mut page.0)
    }
}
