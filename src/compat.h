/*
 * compat.h
 *	  Differences between PostgreSQL 15 and 18, and nothing else.
 *
 * Included right after postgres.h.  Macros and inlines carry the newest API's
 * shape; this is the only place that tests PG_VERSION_NUM.
 */
#ifndef DV_COMPAT_H
#define DV_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "dataverse_fdw needs PostgreSQL 15 or later"
#endif

/*
 * Before 16, extensions export every symbol and PGDLLEXPORT is empty.  We
 * build with hidden visibility everywhere, so it has to mean something.  Nor
 * does fmgr.h declare the function called at load.
 */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
extern PGDLLEXPORT void _PG_init(void);
#endif

/* An SQL-callable function: exported, with its info record. Use: DV_FUNCTION(name) { ... } */
#define DV_FUNCTION(name)                                                                          \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                               \
	PG_FUNCTION_INFO_V1(name);                                                                     \
	Datum name(PG_FUNCTION_ARGS)

/* A named wait event for pg_stat_activity: since 17, before that "Extension". */
#if PG_VERSION_NUM >= 170000
#define dv_wait_event_new(name) WaitEventExtensionNew(name)
#else
#define dv_wait_event_new(name) PG_WAIT_EXTENSION
#endif

/* May the role use the foreign server?  One function for all object classes since 16. */
#if PG_VERSION_NUM >= 160000
#define dv_server_aclcheck(serverid, roleid)                                                       \
	object_aclcheck(ForeignServerRelationId, serverid, roleid, ACL_USAGE)
#else
#define dv_server_aclcheck(serverid, roleid) pg_foreign_server_aclcheck(serverid, roleid, ACL_USAGE)
#endif

/* 18 replaced this attribute by a word before the declaration. */
#ifndef pg_attribute_noreturn
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* 17 added fdw_restrictinfo, 18 disabled_nodes; we leave both empty. */
#if PG_VERSION_NUM >= 180000
#define dv_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer)               \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, pathkeys, outer, NULL, NIL,  \
							NIL)
#elif PG_VERSION_NUM >= 170000
#define dv_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer)               \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, pathkeys, outer, NULL, NIL, NIL)
#else
#define dv_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer)               \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, pathkeys, outer, NULL, NIL)
#endif

#if PG_VERSION_NUM >= 180000
#define dv_create_foreign_upper_path(root, rel, target, rows, startup, total, outer)               \
	create_foreign_upper_path(root, rel, target, rows, 0, startup, total, NIL, outer, NIL, NIL)
#elif PG_VERSION_NUM >= 170000
#define dv_create_foreign_upper_path(root, rel, target, rows, startup, total, outer)               \
	create_foreign_upper_path(root, rel, target, rows, startup, total, NIL, outer, NIL, NIL)
#else
#define dv_create_foreign_upper_path(root, rel, target, rows, startup, total, outer)               \
	create_foreign_upper_path(root, rel, target, rows, startup, total, NIL, outer, NIL)
#endif

#if PG_VERSION_NUM >= 180000
#define dv_create_foreign_join_path(root, rel, rows, startup, total, pathkeys, private)            \
	create_foreign_join_path(root, rel, NULL, rows, 0, startup, total, pathkeys, NULL, NULL, NIL,  \
							 private)
#elif PG_VERSION_NUM >= 170000
#define dv_create_foreign_join_path(root, rel, rows, startup, total, pathkeys, private)            \
	create_foreign_join_path(root, rel, NULL, rows, startup, total, pathkeys, NULL, NULL, NIL,     \
							 private)
#else
#define dv_create_foreign_join_path(root, rel, rows, startup, total, pathkeys, private)            \
	create_foreign_join_path(root, rel, NULL, rows, startup, total, pathkeys, NULL, NULL, private)
#endif

/* The first base relation of a pushed join: since 16 its set holds outer joins as well. */
#if PG_VERSION_NUM >= 160000
#define dv_scan_first_rti(plan) bms_next_member((plan)->fs_base_relids, -1)
#else
#define dv_scan_first_rti(plan) bms_next_member((plan)->fs_relids, -1)
#endif

/* GROUP BY and DISTINCT without what is redundant: since 16. */
#if PG_VERSION_NUM >= 160000
#define dv_group_clause(root) ((root)->processed_groupClause)
#define dv_distinct_clause(root) ((root)->processed_distinctClause)
#else
#define dv_group_clause(root) ((root)->parse->groupClause)
#define dv_distinct_clause(root) ((root)->parse->distinctClause)
#endif

/* 18 replaced a path key's strategy number. */
#if PG_VERSION_NUM >= 180000
#define dv_pathkey_descending(pathkey) ((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define dv_pathkey_descending(pathkey) ((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

/*
 * A walk over the members of an equivalence class, those of a partition among
 * them: 18 keeps them apart and has an iterator, before they are in one list.
 */
#if PG_VERSION_NUM < 180000
#define EquivalenceMemberIterator ForEachState
#define setup_eclass_member_iterator(it, ec, child_relids)                                         \
	(*(it) = (ForEachState){(ec)->ec_members, 0})
#define eclass_member_iterator_next(it)                                                            \
	((it)->i < list_length((it)->l) ? (EquivalenceMember *) list_nth((it)->l, (it)->i++) : NULL)
#endif

/*
 * The JSON lexer (common/jsonapi.h, which the caller includes): a palloc'd one
 * over bytes that stay where they are, without de-escaping, and its end.  From
 * 17 it can live in the caller's struct, takes const input and is freed as a
 * whole.
 */
#if PG_VERSION_NUM >= 170000
#define DV_JSON_LEXER(json, len, encoding)                                                         \
	makeJsonLexContextCstringLen(NULL, json, len, encoding, false)
#define DV_JSON_LEXER_FREE(lex) freeJsonLexContext(lex)
#else
#define DV_JSON_LEXER(json, len, encoding)                                                         \
	makeJsonLexContextCstringLen(unconstify(char *, json), (int) (len), encoding, false)
#define DV_JSON_LEXER_FREE(lex) pfree(lex)
#endif

/* The role a scan checks permissions as, 0 for the current one: in the plan since 16. */
#if PG_VERSION_NUM >= 160000
#define dv_scan_check_as_user(plan, estate) ((plan)->checkAsUser)
#else
#define dv_scan_check_as_user(plan, estate)                                                        \
	(exec_rt_fetch((plan)->scan.scanrelid > 0 ? (plan)->scan.scanrelid                             \
											  : (Index) bms_next_member((plan)->fs_relids, -1),    \
				   estate)                                                                         \
		 ->checkAsUser)
#endif

/* The role a modification checks permissions as: a function since 16. */
#if PG_VERSION_NUM < 160000
#define DV_RESULT_RTE(rinfo, estate)                                                               \
	exec_rt_fetch((rinfo)->ri_RangeTableIndex != 0                                                 \
					  ? (rinfo)->ri_RangeTableIndex                                                \
					  : (rinfo)->ri_RootResultRelInfo->ri_RangeTableIndex,                         \
				  estate)
#define ExecGetResultRelCheckAsUser(rinfo, estate)                                                 \
	(OidIsValid(DV_RESULT_RTE(rinfo, estate)->checkAsUser)                                         \
		 ? DV_RESULT_RTE(rinfo, estate)->checkAsUser                                               \
		 : GetUserId())
#endif

/* 18 counts the disabled nodes below a path; before, they are in its cost. */
#if PG_VERSION_NUM >= 180000
#define dv_path_inherit_disabled(path, child) ((path)->disabled_nodes = (child)->disabled_nodes)
#else
#define dv_path_inherit_disabled(path, child) ((void) (path), (void) (child))
#endif

/* Where ExplainPropertyText and its kind are declared; 18 split them off. */
#if PG_VERSION_NUM >= 180000
#define DV_EXPLAIN_HEADER "commands/explain_format.h"
#define DV_EXPLAIN_STATE_HEADER "commands/explain_state.h"
#else
#define DV_EXPLAIN_HEADER "commands/explain.h"
#define DV_EXPLAIN_STATE_HEADER "commands/explain.h"
#endif

#endif /* DV_COMPAT_H */
