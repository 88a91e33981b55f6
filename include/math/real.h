/* The one type that the computing layers are written in: float, or double in
 * the archive that the gradient tests link. */
#ifndef MATH_REAL_H
#define MATH_REAL_H

#ifdef REAL_IS_DOUBLE
typedef double real;
#else
typedef float real;
#endif

#endif
