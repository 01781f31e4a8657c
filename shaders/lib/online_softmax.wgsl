// Shared pieces of the attention kernels.

// Stands for "no score yet" and "masked": finite, so that differences of maxima are never NaN.
const LOWEST = -3.0e38;
