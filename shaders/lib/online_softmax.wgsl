// Shared pieces of the attention kernels.

// Stands for "no score yet" and "masked": finite, so that differences of maxima are never NaN.
const LOWEST = -3.0e38;

// First position that a query at `position` sees; a window of 0 hides nothing.
fn window_start(position: u32, window: u32) -> u32 {
  if (window == 0u || position < window) { return 0u; }
  return position + 1u - window;
}
