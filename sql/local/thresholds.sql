-- name: thresholds
-- Every limit of the local roll-ups and views, in one row. "Tuned" figures were chosen on emulated feeders of 4 to 100
-- meters with benchmarks/detection.py; a change of a limit needs a run of it.
CREATE VIEW public.local_thresholds AS
SELECT
  -- ANSI C84.1 Range A, service voltage at 120 V nominal
  114 AS low_v,
  126 AS high_v,
  -- an interval is complete, and counts for loss, from this share of its reads on (DESIGN: an outage is not a loss)
  0.9 AS complete_share,
  -- Suspicious meters, consumption. Lossy: an unexplained loss over this share of the supply, and over so many times
  -- the share that had to be estimated, for that makes the balance uncertain. Tuned.
  0.01 AS lossy_share,
  3 AS lossy_per_missing_share,
  -- at noon solar panels may leave the supply at next to nothing: it counts as so many times the no-load loss at least,
  -- which is a quarter of a usual load
  20 AS least_load_per_no_load,
  -- names stay for so many intervals after the last lossy one; a drop is only named within the first so many
  4 AS named_intervals,
  2 AS drop_intervals,
  -- evidence goes back so many intervals at the most (six hours of quarters)
  24 AS evidence_intervals,
  -- pattern: correlation of the unexplained loss with one meter's load. With fewer intervals one of 40 meters looks
  -- alike by chance, so they ask for more. Tuned.
  4 AS pattern_intervals,
  0.99 AS likeness_of_4,
  0.98 AS likeness_of_5,
  0.95 AS likeness_of_more,
  0.5 AS explains_least,
  1.5 AS explains_most,
  -- silence: meters that record nothing explain this share of the loss. Drop: under this share of what is expected.
  0.5 AS silence_share,
  0.85 AS drop_ratio,
  -- Suspicious meters, voltage: twice in a row, or once together with this share of the feeder
  2 AS low_intervals,
  0.1 AS low_share,
  -- Field operations, comms: this share of a feeder's meters silent, and at least so many
  0.1 AS silent_share,
  2 AS silent_meters;
