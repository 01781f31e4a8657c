// KV element type f32. Every file write_*.wgsl puts four neighbouring values of a head, number `at` of them in
// [page][KV head][PAGE_SIZE][HEAD_DIM / 4], into `k` and `v`, which the entry file declares as arrays of KvWord. What
// the type needs to know of the neighbours is asked for by constants: `next` is the quad after this one when a word
// holds two (only even quads are written then), `extreme` the value of largest magnitude of the quad's block.

alias KvWord = vec4<f32>;

// Quads that share a scale; quads that share a word.
const KV_BLOCK_QUADS = 1u;
const KV_WORD_QUADS = 1u;

fn write_k(at: u32, values: vec4<f32>, next: vec4<f32>, extreme: f32) { k[at] = values; }

fn write_v(at: u32, values: vec4<f32>, next: vec4<f32>, extreme: f32) { v[at] = values; }
