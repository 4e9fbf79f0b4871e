"""What the values of a file are: a register or energies, in which unit, the voltages' base, and the sign of use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gridlens_core.database.bindings import Binding, Column
from gridlens_core.database.measures import ENERGY, Sampled, settle_energy, settle_volts
from gridlens_core.errors import FileRefusedError
from gridlens_core.loading.gathered import FileReads, Floats
from gridlens_core.loading.names import unit_in
from gridlens_core.loading.said import UNITS, Certainty, Item, Meaning, Said
from gridlens_core.meters.learning import Past, interval_lengths
from gridlens_core.meters.voltage_limits import NOMINAL_V, nominal_of

RISING_SHARE, RISES_AT_LEAST, REGISTER_READS = 0.98, 0.2, 30  # of a register: hardly ever falls, and often rises
NEGATIVE_SHARE = 0.9  # of reads under nothing, from which on the file writes use as negative
SAMPLE_METERS, SAMPLE_READS = 60, 400
POWER = {"kW": 1.0, "W": 0.001}  # in kW
HOME_KW = (0.02, 50.0)


def differences(reads: FileReads, items: list[Item]) -> FileReads:
    """Of a register what it rose by from read to read; a fall, as of a new meter, has no energy."""
    same = np.concatenate([[False], reads.meter[1:] == reads.meter[:-1]])
    rise = np.where(same, np.diff(reads.value, prepend=np.nan), np.nan)
    known = ~np.isnan(rise)
    count = np.bincount(reads.meter[known], minlength=len(reads.meters))
    up = np.bincount(reads.meter[known], rise[known] > 0, len(reads.meters))
    level = np.bincount(reads.meter[known], rise[known] >= 0, len(reads.meters))
    enough = count >= REGISTER_READS
    registers = enough & (level >= RISING_SHARE * count) & (up >= RISES_AT_LEAST * count)
    if not enough.any() or registers.sum() < 0.5 * enough.sum():
        return reads
    if not registers[enough].all():
        some = reads.meters[int(np.flatnonzero(enough & ~registers)[0])]
        raise FileRefusedError.at("the file", f"most meters send a register and {some!r} does not; load them apart")
    # A difference spans the gap before it, so only one of the usual length is an interval's energy.
    length, own = interval_lengths(Past(reads.meter, reads.at, reads.value, reads.volts), len(reads.meters))
    spans = np.diff(reads.at, prepend=0) // 60
    rise[(rise < 0) | (spans != np.where(length > 0, length, own[reads.meter]))] = np.nan
    items.append(Item("register", "the differences of its values are the energies", "sure", "they only ever rise"))
    return replace(reads, value=rise)


def energies(reads: FileReads, meaning: Meaning, said: Said, step: int, items: list[Item]) -> Floats:
    """Energies in kWh."""
    named = unit_in(meaning.energy_name)
    unit = said.unit or meaning.unit or next((one for one in UNITS if one.lower() == named.lower()), "")
    hours = np.where(reads.minutes > 0, reads.minutes * 60, step) / 3600
    certainty: Certainty = "set" if said.unit else "sure"
    if unit in POWER:
        why = "as you said" if said.unit else f"column {meaning.energy_name!r}"
        kwh = reads.value * POWER[unit] * hours
        usual = float(np.nanmedian(np.abs(reads.value))) * POWER[unit]
        if not said.unit and usual and not HOME_KW[0] <= usual <= HOME_KW[1]:
            raise FileRefusedError.at("the file", f"a meter's mean power is about {usual:.3g} kW, and no home's")
        items.append(Item("unit", f"mean {unit}", certainty, f"{why}; times the hours of the interval"))
        return kwh
    if said.unit or meaning.unit in ENERGY:
        items.append(Item("unit", unit, certainty, "as you said" if said.unit else "by the file"))
        return np.asarray(reads.value * ENERGY[unit])  # type: ignore[index]
    column = Column(f"energy_{unit}" if unit else meaning.energy_name, "numeric", False, False)
    binding = Binding("kwh", column, "kWh", "sure" if unit else "guess", "by its name" if unit else "by its size")
    found = settle_energy(binding, _sample(reads), step / 60)
    if found.unsettled:
        raise FileRefusedError.at("the file", f"{found.unsettled}; say its unit: {', '.join(UNITS)}")
    bound = found.binding
    items.append(Item("unit", bound.unit, "sure" if bound.certainty == "sure" else "guess", bound.why))
    return np.asarray(reads.value * ENERGY[bound.unit])


def _sample(reads: FileReads) -> list[Sampled]:
    """Some reads of some meters."""
    found = []
    first = np.searchsorted(reads.meter, np.arange(len(reads.meters)))
    for meter in np.linspace(0, len(reads.meters) - 1, min(len(reads.meters), SAMPLE_METERS)).astype(int).tolist():
        rows = range(int(first[meter]), min(int(first[meter]) + SAMPLE_READS, len(reads)))
        for row in rows:
            if reads.meter[row] == meter:
                value, volts = float(reads.value[row]), float(reads.volts[row])
                found.append(Sampled(str(meter), float(reads.at[row]), None if np.isnan(value) else value, volts))
    return found


def service_volts(reads: FileReads, items: list[Item]) -> Floats:
    """Volts on a 120 V base, for limits are shares of nominal; NaN without."""
    if np.isnan(reads.volts).all():
        return reads.volts
    column = Column("voltage", "numeric", False, False)
    found = settle_volts(Binding("voltage", column, "V", "sure", "by its size"), _sample(reads))
    if found.unsettled:
        raise FileRefusedError.at("the file", f"the voltage: {found.unsettled}")
    volts = reads.volts * {"V": 1.0, "kV": 1000.0, "pu": NOMINAL_V}[found.binding.unit]
    volts = np.where(volts > 0, volts, np.nan)
    nominal = nominal_of(float(np.nanmedian(volts)))
    items.append(Item("voltage", f"{nominal:g} V nominal", "sure", "kept as shares of nominal, on a 120 V base"))
    return np.asarray(volts * (NOMINAL_V / nominal))


def signed(kwh: Floats, items: list[Item]) -> Floats:
    """Use as a positive number."""
    known = kwh[~np.isnan(kwh) & (kwh != 0)]
    negative = float((known < 0).mean()) if len(known) else 0.0
    if negative > NEGATIVE_SHARE:
        items.append(Item("sign", "use is negative in the file, and turned", "guess", f"{100 * negative:.0f} % are"))
        return -kwh
    if negative:
        text = f"{100 * negative:.1f} % of reads are export, and kept as negative use"
        items.append(Item("sign", text, "sure", "what is under nothing is sent out, as by solar panels"))
    return kwh
