/* Ctrl-C of a long run: SIGINT and SIGTERM only set a flag that its loop looks
 * at. A second one ends at once. */
#ifndef APP_INTERRUPT_H
#define APP_INTERRUPT_H

void interrupt_catch(void);
/* The signal that came, or 0. */
int interrupt_signal(void);

#endif
