/*
 * keyjoin.h
 *	  Joins that send the keys of many outer rows in one request.
 */
#ifndef DV_EXEC_KEYJOIN_H
#define DV_EXEC_KEYJOIN_H

/* Makes the node known under its name. At load. */
extern void dv_keyjoin_init(void);

#endif /* DV_EXEC_KEYJOIN_H */
