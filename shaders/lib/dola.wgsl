// What both halves of DoLa (ops/dola_*.wgsl) need: which layers a sampled row contrasts.
// Needs lib/step.wgsl. Layout of the layers: src/ops/step_layout.ts.

// The header's word that holds where the segments' layers begin.
override DOLA: u32 = 12u;

const DOLA_WORDS = 4u;

// Word `index` of the bits of the layers that a sampled row contrasts: bit l % 32 of word l / 32.
fn dola_layers(row: u32, index: u32) -> u32 {
  return step_data[step_data[DOLA] + step_sampled_segment(row) * DOLA_WORDS + index];
}

fn dola_asked(row: u32) -> bool {
  return (dola_layers(row, 0u) | dola_layers(row, 1u) | dola_layers(row, 2u) | dola_layers(row, 3u)) != 0u;
}
