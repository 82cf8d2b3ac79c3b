"""The polynomials of the float transforms. Part of stream version 1: a change here is a new version.

The float32 sets are minimax fits (Lawson's iteration, coefficients rounded to float32 one after another); the comment
gives the largest error of the polynomial itself. The float64 sets are Taylor series, and Wichura's AS241.
"""

from __future__ import annotations

import math

import numpy as np


def _singles(*values: float) -> tuple[np.float32, ...]:
    return tuple(np.float32(value) for value in values)


# -2 log(1 + f) / f on [√½ - 1, √2 - 1]: relative error 1.7e-7.
LOG_32 = _singles(
    -1.9999998807907104,
    1.0000071525573730,
    -0.6667014956474304,
    0.4994036555290222,
    -0.3980024456977844,
    0.3449637889862061,
    -0.3244293630123138,
    0.2022462338209152,
)
# sin(π v) / v in v² for |v| <= ½: relative error 2.8e-8.
SIN_32 = _singles(3.1415927410125732, -5.167720317840576, 2.550257682800293, -0.5993510484695435, 0.07965278625488281)
# cos(π v) in v² for |v| <= ½: absolute error 6e-8.
COS_32 = _singles(0.9999999403953552, -4.934791088104248, 4.058378219604492, -1.331677794456482, 0.2193153202533722)
# z / x, with x = 1 - 2 p and z = -Φ⁻¹(p), in w - 2.5 where w = -log(1 - x²) <= 5: relative error 1.1e-7.
# The split at w = 5 is that of Giles, Approximating the erfinv function, 2010.
CENTRE_32 = _singles(
    2.1233136653900146,
    0.348802387714386,
    -0.005908285733312368,
    -0.0017727551748976111,
    0.00030920488643459976,
    -6.287088126555318e-06,
    -5.002025318390224e-06,
    4.917964133710484e-07,
    4.120173713317854e-08,
)
# The same in √w - 3 for w from 5 to 46: relative error 8.1e-7.
TAIL_32 = _singles(
    4.006433010101318,
    1.416603446006775,
    0.013389568775892258,
    -0.010994479060173035,
    0.008021288551390171,
    -0.0045754024758934975,
    0.0017587977927178144,
    -0.00041714159306138754,
    5.474082718137652e-05,
    -3.030774905710132e-06,
)

# log(1 + f) = 2 s (1 + s²/3 + s⁴/5 + …) with s = f / (2 + f); the last term is below 2e-19 for |s| <= 0.1716.
LOG_64 = tuple(1.0 / (2 * k + 1) for k in range(12))
_PI = math.pi
_PI_SQUARED = _PI * _PI
# 1 / (2k+1)! and 1 / (2k)!, with signs; the last terms are below 1e-18 at π/2.
SIN_64 = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(12))
COS_64 = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(13))

# Wichura, Algorithm AS241: the percentage points of the normal distribution, 1988, PPND16.
CENTRAL_NUMERATOR = (
    3.3871328727963666080,
    133.14166789178437745,
    1971.5909503065514427,
    13731.693765509461125,
    45921.953931549871457,
    67265.770927008700853,
    33430.575583588128105,
    2509.0809287301226727,
)
CENTRAL_DENOMINATOR = (
    1.0,
    42.313330701600911252,
    687.18700749205790830,
    5394.1960214247511077,
    21213.794301586595867,
    39307.895800092710610,
    28729.085735721942674,
    5226.4952788528545610,
)
MIDDLE_NUMERATOR = (
    1.42343711074968357734,
    4.63033784615654529590,
    5.76949722146069140550,
    3.64784832476320460504,
    1.27045825245236838258,
    0.241780725177450611770,
    0.0227238449892691845833,
    0.000774545014278341407640,
)
MIDDLE_DENOMINATOR = (
    1.0,
    2.05319162663775882187,
    1.67638483018380384940,
    0.689767334985100004550,
    0.148103976427480074590,
    0.0151986665636164571966,
    0.000547593808499534494600,
    1.05075007164441684324e-9,
)
FAR_NUMERATOR = (
    6.65790464350110377720,
    5.46378491116411436990,
    1.78482653991729133580,
    0.296560571828504891230,
    0.0265321895265761230930,
    0.00124266094738807843860,
    2.71155556874348757815e-5,
    2.01033439929228813265e-7,
)
FAR_DENOMINATOR = (
    1.0,
    0.599832206555887937690,
    0.136929880922735805310,
    0.0148753612908506148525,
    0.000786869131145613259100,
    1.84631831751005468180e-5,
    1.42151175831644588870e-7,
    2.04426310338993978564e-15,
)
