/*
 * join_tree.h
 *	  Which tables a join along lookups joins, and how.
 */
#ifndef DV_PLAN_JOIN_TREE_H
#define DV_PLAN_JOIN_TREE_H

#include "nodes/pathnodes.h"
#include "plan/rel.h"

/* A table of the join. */
typedef struct DvTreeMember
{
	RelOptInfo *rel;
	int parent;             /* member that holds the lookup; -1 for the main table */
	const DvColumn *lookup; /* of the parent's table */
} DvTreeMember;

/* One join of two sides; they are named as in DvJoinStep. */
typedef struct DvTreeStep
{
	JoinType join;
	int left;
	int right;
	List *on;     /* RestrictInfo *: decide about matching, beside the lookup */
	List *filter; /* RestrictInfo *: decide about the joined row */
} DvTreeStep;

/* Rows whose lookup leads to one of the main table, of which there must be some, or none. */
typedef struct DvTreeChild
{
	RelOptInfo *rel;
	const DvColumn *lookup;
	bool anti;
} DvTreeChild;

/* Kept in fdw_private of a join relation; made on the spot for a table alone. */
typedef struct DvJoinTree
{
	List *members;  /* DvTreeMember *, the main table first */
	List *steps;    /* DvTreeStep *, in an order in which each comes after its sides */
	List *children; /* DvTreeChild *; then there are no other members, nor steps */
} DvJoinTree;

/*
 * A side of a join as a tree: a table alone, or a join relation that is one
 * already; NULL when it is neither, or may not be joined.
 */
extern const DvJoinTree *dv_join_tree_side(RelOptInfo *rel);

/*
 * The two sides joined, when a condition says that a lookup of the many side is
 * the id of the one side's main table; else NULL.
 */
extern DvJoinTree *dv_join_tree_along_lookup(RelOptInfo *joinrel, const DvJoinTree *many,
											 const DvJoinTree *one, JoinType jointype,
											 List *restrictlist);

/*
 * One more child of the main table, when the only condition says that its lookup is
 * the main table's id and nothing else is joined; else NULL.
 */
extern DvJoinTree *dv_join_tree_with_child(const DvJoinTree *parent, const DvJoinTree *child,
										   JoinType jointype, List *restrictlist);

/* The side that is the whole tree, as steps name theirs. */
extern int dv_join_tree_top(const DvJoinTree *join);

/* Does every row of this side need the member? */
extern bool dv_join_tree_needs(const DvJoinTree *join, int side, int member);

extern DvTreeMember *dv_join_tree_member(const DvJoinTree *join, int n);
extern const DvTable *dv_join_tree_table(const DvTreeMember *member);

#endif /* DV_PLAN_JOIN_TREE_H */
