/* Lab 06: the formula in double, and how far a computed activation may be off.
 *
 * The bound. u is half a unit in the last place, relative: 2^-24 of a float, 2^-8 of bf16. First order in u; where a
 * derivative is not the same at both ends, by its growth besides.
 *
 * Inputs are multiples of 2^-13 below 2^10, so x + bias = v has no rounding in a float. (The special ones, and what the
 * baselines store as bf16, have: d1 = u.)
 *
 * gelu. i = scale (v + cube v^3), whatever the order: v^3 and cube's product three roundings, cube itself one, the sum
 * one, scale and its product two: 7 u, and as i grows with v^3 at most 3 d1. Both terms have the sign of v, so nothing
 * cancels. With t = tanh(i) the error of t is at most
 *     (1 - t^2) |i| (7 u + 3 d1)  +  what tanh itself is off
 * and the result 0.5 v (1 + t) is off by 0.5 |v| (that + 3 u (1 + t) + d1 (1 + t)): the sum, two products. Written as
 * v / (1 + e^-2i) it is the same, for which another 2 u (1 - t^2) stand: e^a there is off by 4 u at most.
 * tanhf is within 2 units in the last place in CUDA's, ROCm's and glibc's tables: 4 u |t|. Where |i| > 10 they return
 * 1, which is off by 1 - |t|, below 2^-27 and soon nothing: no more is allowed to exact forms there, as 2^-22 of 1e20
 * would excuse anything. The fast form is off by 2^-11 |t| (PTX ISA), and where it is made of e^x by 8 u besides.
 *
 * gate. s = 1 / (1 + e^-g): e^-g is off by 4 u (2 units), which moves s by s (1 - s) of that; the sum, the quotient and
 * the product with up are three roundings, and one to spare. Fast: __expf is within 2 + 1.173 |a| units (CUDA
 * Programming Guide), so (4 + 2.4 |a|) u, and __fdividef within 2 units, 4 u. Where 1 + e^-g is beyond float's largest
 * the quotient is 0 for what is below 89 / 3.4e38 < 2^-121; __fdividef gives 0 from 2^126 on, for what is below 2^-119.
 *
 * The residual's sum and the store round as the reference's own do, and are judged by that: see judge.c. */
#include <math.h>

#include "lab06_problem.h"
#include "num/pk_half.h"

static const double SCALE = 0.79788456080286535588 /* sqrt(2 / pi) */, CUBE = 0.044715;
static const double FLOAT_UNIT = 0x1p-24, BF16_UNIT = 0x1p-8;
static const double SATURATED_FROM = 10, DEEP = -86;

lab06_rounding lab06_rounding_of_ladder(int math)
{
    const bool fast = math == LAB06_FAST;
    return (lab06_rounding){.unit = FLOAT_UNIT,
                            .biased = 0,
                            .tanh_relative = fast ? 0x1p-11 : 4 * FLOAT_UNIT,
                            .tanh_absolute = fast ? 8 * FLOAT_UNIT : 0,
                            .exp_constant = 4 * FLOAT_UNIT,
                            .exp_slope = fast ? 2.4 * FLOAT_UNIT : 0,
                            .quotient = fast ? 4 * FLOAT_UNIT : FLOAT_UNIT,
                            .saturates = !fast};
}

/* The same forms, and then each result is stored. */
lab06_rounding lab06_rounding_of_baseline(int type, int math)
{
    lab06_rounding by = lab06_rounding_of_ladder(math);
    if (type == LAB06_BF16) {
        by.unit = by.biased = BF16_UNIT;
        by.tanh_relative += BF16_UNIT;
        by.quotient += BF16_UNIT;
    }
    return by;
}

/* x + bias, and its relative error. */
static double biased(double x, double bias, const lab06_rounding *by, double *relative)
{
    const double v = x + bias;
    *relative = fmax(by->biased, (double)(float)v == v ? 0 : FLOAT_UNIT);
    return v;
}

double lab06_gelu(double x, double bias, const lab06_rounding *by, double *slack)
{
    double d1;
    const double v = biased(x, bias, by, &d1), u = by->unit;
    const double i = SCALE * (v + CUBE * v * v * v), t = tanh(i);
    const double result = 0.5 * v * (1 + t);
    if (!isfinite(result)) { /* what no rounding changes */
        *slack = 0;
        return result;
    }
    const double moved = fabs(i) * (7 * u + 3 * d1), itself = by->tanh_relative * fabs(t) + by->tanh_absolute;
    const double inner = fabs(i) > 100 ? 0 : (1 - t * t) * (moved * exp(2 * moved) + 2 * u);
    const bool is_one = by->saturates && fabs(i) > SATURATED_FROM;
    *slack = 0.5 * fabs(v) * (inner + (is_one ? 1 - fabs(t) : itself) + (3 * u + d1) * (1 + t)) + 0x1p-121;
    return result;
}

double lab06_gate(double x, double bias, double x_up, double bias_up, const lab06_rounding *by, double *slack)
{
    double d1, d_up;
    const double g = biased(x, bias, by, &d1), up = biased(x_up, bias_up, by, &d_up), u = by->unit;
    const double e = exp(-g), result = g / (1 + e) * up;
    if (!isfinite(result)) {
        *slack = 0;
        return result;
    }
    const double rest = e / (1 + e); /* 1 - s */
    const double of_exp = isfinite(rest) ? rest * (by->exp_constant + (by->exp_slope + d1) * fabs(g)) : 0;
    const bool lost = g < DEEP || fabs(result) < 0x1p-120; /* to 0, or to a number of fewer bits */
    *slack = fabs(result) * (of_exp * exp(of_exp) + by->quotient + 3 * u + d1 + d_up) +
             (lost ? (by->saturates ? 0x1p-121 : 0x1p-119) * (1 + fabs(up)) : 0);
    return result;
}

float lab06_rounded(int type, double value)
{
    const float nearest = (float)value;
    return type == LAB06_BF16 ? pk_bf16_to_float(pk_float_to_bf16(nearest)) : nearest;
}
