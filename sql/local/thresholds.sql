-- name: thresholds
-- Every limit of the local roll-ups and views, in one row. Those of the detection job are in
-- gridlens_core/detection.
CREATE VIEW public.local_thresholds AS
SELECT
  -- ANSI C84.1 Range A, service voltage at 120 V nominal
  114 AS low_v,
  126 AS high_v,
  -- an interval is complete, and counts for loss, from this share of its reads on (DESIGN: an outage is not a loss)
  0.9 AS complete_share,
  -- Suspicious meters, voltage: twice in a row, or once together with this share of the feeder
  2 AS low_intervals,
  0.1 AS low_share,
  -- Field operations, comms: this share of a feeder's meters silent, and at least so many
  0.1 AS silent_share,
  2 AS silent_meters;
